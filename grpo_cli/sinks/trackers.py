"""Experiment trackers as sinks: Weights & Biases, MLflow, Trackio.

Each is asked for by `sinks=[tensorboard,wandb]` and set up as its own documentation says: by its
environment variables and logins. What it raises while training costs the tracker, not the run.
"""

import io
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from grpo_cli.errors import GrpoError, MissingPackage
from grpo_cli.sinks.protocol import Metrics, scalars

log = logging.getLogger(__name__)

# What MLflow takes in one call, and of one value.
MOST_PARAMS, MOST_CHARACTERS = 100, 500


class Tracker(ABC):
    """A sink that hands numbers to a library.

    Args:
        folder: the run's.
        hparams: its settings, flat.
        project: under which the tracker files it.

    Raises:
        MissingPackage: the library is not installed.
        GrpoError: it does not start.
    """

    package = ""

    def __init__(self, folder: Path, hparams: Mapping[str, Any], project: str) -> None:
        try:
            self._library: Any = import_module(self.package)
        except ImportError as error:
            fix = f"pip install 'grpo-cli[{self.package}]'"
            raise MissingPackage(f"sinks=[{self.package}] needs {self.package}", fix) from error
        self._works = True
        try:
            with redirect_stdout(io.StringIO()):  # stdout is for results
                self._start(folder, dict(hparams), project)
        except Exception as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            fix = f"set {self.package} up as its documentation says, or leave it out of sinks"
            raise GrpoError(f"{self.package} does not start: {first}", fix) from error

    def write(self, step: int, metrics: Metrics) -> None:
        """Hand over the numbers of an update."""
        self._try(lambda: self._log(step, scalars(metrics)))

    def close(self) -> None:
        """End the tracker's run."""
        self._try(self._end)

    def _try(self, act: Any) -> None:  # noqa: ANN401 - a function of nothing
        if not self._works:
            return
        try:
            with redirect_stdout(io.StringIO()):
                act()
        except Exception as error:
            self._works = False
            log.warning("%s: %s; training goes on without it", self.package, error)

    @abstractmethod
    def _start(self, folder: Path, hparams: dict[str, Any], project: str) -> None: ...

    @abstractmethod
    def _log(self, step: int, numbers: dict[str, float]) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...


class Wandb(Tracker):
    """Weights & Biases; `WANDB_MODE=offline` keeps everything in the run's folder."""

    package = "wandb"

    def _start(self, folder: Path, hparams: dict[str, Any], project: str) -> None:
        self._run = self._library.init(
            project=project, name=folder.name, config=hparams, dir=str(folder),
            settings=self._library.Settings(console="off", silent=True),
        )  # fmt: skip

    def _log(self, step: int, numbers: dict[str, float]) -> None:
        self._run.log(numbers, step=step)

    def _end(self) -> None:
        self._run.finish()


class Mlflow(Tracker):
    """MLflow; `MLFLOW_TRACKING_URI` says where to."""

    package = "mlflow"

    def _start(self, folder: Path, hparams: dict[str, Any], project: str) -> None:
        from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(project)
        experiment = found.experiment_id if found else self._client.create_experiment(project)
        run = self._client.create_run(experiment, run_name=folder.name)
        self._id = run.info.run_id
        params = [
            self._library.entities.Param(key, str(value)[:MOST_CHARACTERS])
            for key, value in hparams.items()
        ]
        for first in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + MOST_PARAMS])

    def _log(self, step: int, numbers: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._library.entities.Metric(n, x, now, step) for n, x in numbers.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def _end(self) -> None:
        self._client.set_terminated(self._id)


class Trackio(Tracker):
    """Trackio, which keeps runs on this computer; `trackio show` opens them."""

    package = "trackio"

    def _start(self, folder: Path, hparams: dict[str, Any], project: str) -> None:
        self._library.init(project=project, name=folder.name, config=hparams, embed=False)

    def _log(self, step: int, numbers: dict[str, float]) -> None:
        self._library.log(numbers, step=step)

    def _end(self) -> None:
        self._library.finish()


TRACKERS: dict[str, type[Tracker]] = {"wandb": Wandb, "mlflow": Mlflow, "trackio": Trackio}
