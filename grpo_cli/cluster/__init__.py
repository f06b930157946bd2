"""Trainings on computers that belong to a cluster: Ray, or Slurm through submitit."""

from grpo_cli.cluster.supervise import Lost, Order, Outcome, supervise

__all__ = ["Lost", "Order", "Outcome", "supervise"]
