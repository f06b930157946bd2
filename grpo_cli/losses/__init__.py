"""Policy losses: `f(new, batch, ...) -> (scalar, dict of Mean)`."""

from grpo_cli.losses.all_action import all_action
from grpo_cli.losses.clip import clip
from grpo_cli.losses.covariance import clip_cov, kl_cov
from grpo_cli.losses.geometric import gmpo
from grpo_cli.losses.members import by_member as by_member
from grpo_cli.losses.members import by_row as by_row
from grpo_cli.losses.members import needs_members as needs_members
from grpo_cli.losses.members import needs_rows_only as needs_rows_only
from grpo_cli.losses.members import per_member as per_member
from grpo_cli.losses.soft import sapo
from grpo_cli.losses.weighted import cispo, reinforce, vespo

__all__ = [
    "all_action",
    "cispo",
    "clip",
    "clip_cov",
    "gmpo",
    "kl_cov",
    "reinforce",
    "sapo",
    "vespo",
]
