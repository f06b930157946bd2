"""The ranks of a training as tasks of a Slurm job, submitted and watched by submitit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from grpo_cli.cluster.supervise import Lost, Order, Outcome
from grpo_cli.errors import MissingPackage

Work = Callable[[Order], Outcome]


@dataclass(frozen=True)
class Rank:
    """What every task of the job calls.

    Attributes:
        work: does the order, as one of the ranks.
        order: what is asked for.
    """

    work: Work
    order: Order

    def __call__(self) -> Outcome:
        """Be one of the ranks."""
        import_module("submitit.helpers").TorchDistributedEnvironment().export(overwrite=True)
        return self.work(self.order)

    def checkpoint(self) -> Any:  # noqa: ANN401 - submitit's
        """Return what Slurm is to queue again when it takes the job's computers away."""
        note = Path(self.order.note)
        resume = note.read_text() if note.exists() else self.order.resume
        again = Rank(self.work, replace(self.order, resume=resume))
        return import_module("submitit.helpers").DelayedSubmission(again)


def attempt(
    work: Work,
    processes: int,
    settings: Mapping[str, Any],
    say: Callable[[str], None],
) -> Callable[[Order], Outcome]:
    """Return what submits a job and waits for it.

    Raises:
        MissingPackage: submitit is not installed.
    """
    try:
        submitit = import_module("submitit")
    except ImportError as error:
        raise MissingPackage(
            "cluster=slurm needs submitit", "pip install 'grpo-cli[slurm]'"
        ) from error

    def once(order: Order) -> Outcome:
        folder = Path(order.folder) / settings["logs"]
        executor = submitit.AutoExecutor(folder=folder, cluster=settings["executor"])
        nodes = min(settings["nodes"], processes)
        executor.update_parameters(
            name="grpo",
            nodes=nodes,
            tasks_per_node=-(-processes // nodes),
            cpus_per_task=settings["cpus"],
            gpus_per_node=settings["gpus"],
            timeout_min=settings["minutes"],
            slurm_partition=settings["partition"],
            slurm_additional_parameters=dict(settings["more"]),
        )
        job = executor.submit(Rank(work, order))
        say(f"job {job.job_id}: its output goes to {job.paths.stderr}")
        try:
            outcomes: list[Outcome] = job.results()
        except (
            submitit.core.utils.UncompletedJobError,
            submitit.core.utils.FailedJobError,
        ) as gone:
            job.cancel()
            raise Lost(f"job {job.job_id} was lost") from gone
        except KeyboardInterrupt:
            job.cancel()
            raise
        if any(outcome.lost for outcome in outcomes):
            raise Lost(f"job {job.job_id} lost a process")
        failed = [outcome for outcome in outcomes if outcome.error]
        return failed[0] if failed else outcomes[0]

    return once
