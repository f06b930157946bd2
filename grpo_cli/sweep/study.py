"""Optuna: what to try next, whether to go on with it, and what mattered.

Optuna's study is what follows from the claims: a trial that the claims know as over and Optuna as
running is told again, one that no claim names is failed.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from grpo_cli.errors import ConfigError, EnvError, MissingPackage
from grpo_cli.sweep.claims import COMPLETE, FAILED, PRUNED, TRIAL, Row
from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.space import Params

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

IDENTITY = "grpo:identity"
NUMBER = "grpo:number"
# Seconds that SQLite waits for another process to finish writing.
PATIENCE_S = 60
# Points that are drawn for a trial before it fails, where each of them cannot be trained.
DRAWS = 20
# Trials without which nothing can be said of what mattered.
ENOUGH = 8


class Study:
    """A study in a database, which several processes may have open.

    Args:
        plan: of the sweep.

    Raises:
        MissingPackage: Optuna, or the driver of the database, is not installed.
        ConfigError: the database cannot be opened, or the study was made for another sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._optuna, self._plan = _optuna(), plan
        try:
            self.storage, self._study = self._open()
        except (ModuleNotFoundError, ImportError) as error:
            raise MissingPackage(
                f"the database needs a package that is not installed: {error}",
                "pip install 'grpo-cli[postgresql]'",
            ) from error
        except Exception as error:
            raise ConfigError(
                f"the sweep's database cannot be opened: {_first_line(error)}",
                "look at sweep.storage, and whether the server runs",
            ) from error
        self._require_same()
        self._distributions = plan.space.distributions()
        self._trials: dict[int, Trial] = {}

    def _open(self) -> tuple[Any, Any]:
        """Open the storage and the study, and make what is missing.

        Of several processes that make the same tables at once all but one fail: these try again.
        """
        from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

        busy = (IntegrityError, ProgrammingError)
        if self._plan.storage.startswith("sqlite"):
            busy = (*busy, OperationalError)  # of a server it says that it cannot be reached
        for wait_s in (0.2, 0.5, 1.0, 2.0):
            try:
                return self._opened()
            except busy:
                time.sleep(wait_s)
        return self._opened()

    def _opened(self) -> tuple[Any, Any]:
        plan = self._plan
        options = {"timeout": PATIENCE_S} if plan.storage.startswith("sqlite") else {}
        storage = self._optuna.storages.RDBStorage(
            plan.storage, engine_kwargs={"connect_args": options, "pool_pre_ping": True}
        )
        study = self._optuna.create_study(
            study_name=plan.name,
            storage=storage,
            load_if_exists=True,
            direction="maximize" if plan.maximize else "minimize",
            pruner=_pruner(plan),
        )
        return storage, study

    @property
    def engine(self) -> Any:  # noqa: ANN401 - SQLAlchemy's
        """The database."""
        return self.storage.engine

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Say it in words where the database is lost on the way.

        Raises:
            EnvError: what happened, and that nothing is lost.
        """
        from sqlalchemy.exc import OperationalError

        try:
            yield
        except OperationalError as error:
            raise EnvError(
                f"the sweep's database is lost: {_first_line(error)}",
                "the same command goes on, once it is back",
            ) from error

    def _require_same(self) -> None:
        """Refuse to go on with another sweep under the same name; the first one says what it is."""
        mine = self._plan.identity()
        theirs = self._study.user_attrs.get(IDENTITY)
        if theirs is None:
            self._study.set_user_attr(IDENTITY, mine)
        elif theirs != mine:
            before, after = json.loads(theirs), json.loads(mine)
            other = ", ".join(sorted(key for key in after if before.get(key) != after[key]))
            raise ConfigError(
                f"the sweep {self._plan.name} was begun with other {other}",
                "give it another sweep.name, or the words it was begun with",
            )

    def ask(self, row: Row, refused: Callable[[Params], str]) -> str:
        """Fill in what a trial tries; one that was asked for before tries the same again.

        Args:
            row: the trial.
            refused: says why a point cannot be trained; nothing where it can. Points of a grid are
                taken as they come, others are drawn again.

        Returns:
            Why it cannot be trained; nothing where it can.
        """
        if row.optuna is not None:
            self._trials[row.number] = self._optuna.trial.Trial(self._study, row.optuna)
            return refused(row.params or {})
        why, last = "", 0 if self._plan.grid else DRAWS - 1
        for draw in range(last + 1):
            with _quiet():
                self._study.sampler = self._sampler(row.number, draw)
                trial = self._study.ask(self._distributions)
            row.params = {name: trial.params[name] for name in self._plan.space.names}
            row.optuna, self._trials[row.number] = trial._trial_id, trial
            why = refused(row.params)
            if not why:
                break
            if draw < last:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        self._trials[row.number].set_user_attr(NUMBER, row.number)
        return why

    def is_hopeless(self, number: int, step: int, score: float) -> bool:
        """Report an evaluation, and say whether the trial is to be given up.

        Args:
            number: of the trial.
            step: which evaluation, counted over all of its seeds.
            score: mean return, larger is better.
        """
        trial = self._trials[number]
        with _quiet():
            trial.report(score if self._plan.maximize else -score, step)
            return self._plan.pruner != "none" and trial.should_prune()

    def tell(self, row: Row) -> None:
        """Tell Optuna what came of a trial, unless it knows."""
        state = self._optuna.trial.TrialState
        if row.optuna is None or self.storage.get_trial(row.optuna).state != state.RUNNING:
            return
        trial = self._trials.pop(row.number, None)
        trial = trial or self._optuna.trial.Trial(self._study, row.optuna)
        excess = row.facts.get("excess")
        states = {COMPLETE: state.COMPLETE, PRUNED: state.PRUNED, FAILED: state.FAIL}
        with _quiet():
            if excess is not None:
                trial.set_constraint("sweep.constraint", excess)
            value = row.value if row.state == COMPLETE else None
            self._study.tell(trial, value, state=states[row.state], skip_if_finished=True)

    def agree(self, read: Callable[[], list[Row]]) -> None:
        """Bring Optuna's study in line with the claims after somebody died.

        Args:
            read: returns the claims. They are read after Optuna's trials: whoever asked for one of
                those had claimed its number before.
        """
        states = self._optuna.trial.TrialState
        running = self._study.get_trials(deepcopy=False, states=(states.RUNNING,))
        rows = [row for row in read() if row.kind == TRIAL]
        known = {row.optuna: row for row in rows if row.optuna is not None}
        somebody_asks = any(row.optuna is None and not row.over for row in rows)
        for trial in running:
            row = known.get(trial._trial_id)
            if row is not None and row.over:
                self.tell(row)
            elif row is None and not somebody_asks:
                with _quiet():
                    self._study.tell(trial.number, state=states.FAIL, skip_if_finished=True)

    def importances(self) -> dict[str, float]:
        """Return how much each dimension mattered, summing to 1; empty while that is unknown.

        Source: PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255).
        """
        trials = self._judged()
        if len(trials) < ENOUGH:
            return {}
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
        try:
            with _quiet():
                study = self._optuna.create_study(direction=self._study.direction)
                study.add_trials(trials)
                return self._optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError, ZeroDivisionError):  # too few trials, or all alike
            return {}

    def _judged(self) -> list[Any]:
        """Return the trials of which something is known: a pruned one was no better than the worst.

        It is only compared with the best of them, so how bad it was does not matter.
        """
        states = self._optuna.trial.TrialState
        asked = (states.COMPLETE, states.PRUNED)
        trials = self._study.get_trials(deepcopy=True, states=asked)
        values = [trial.value for trial in trials if trial.state == states.COMPLETE]
        if not values:
            return []
        worst = min(values) if self._plan.maximize else max(values)
        for trial in trials:
            if trial.state == states.PRUNED:
                trial.state, trial.value = states.COMPLETE, worst
        return trials

    def _sampler(self, number: int, draw: int) -> "BaseSampler":
        """Make the sampler of one trial: what it draws follows from the number and the history."""
        samplers, plan = self._optuna.samplers, self._plan
        seed = (plan.seed * 1_000_003 + number + draw * 7_919_000_003) % 2**32
        if plan.grid:
            point: Params = plan.space.point(number)
            return samplers.PartialFixedSampler(point, samplers.RandomSampler(seed))
        if plan.sampler == "random":
            return samplers.RandomSampler(seed)
        if plan.sampler == "gp":
            return samplers.GPSampler(seed=seed)
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _pruner(plan: Plan) -> "BasePruner":
    """Make the pruner; steps are evaluations."""
    pruners = _optuna().pruners
    if plan.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if plan.pruner == "median":
        # The first quarter of a run says little of its end.
        quarter = plan.checks // 4
        return pruners.MedianPruner(n_startup_trials=plan.prune_after, n_warmup_steps=quarter)
    return pruners.NopPruner()


def _optuna() -> Any:  # noqa: ANN401 - the package
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "grpo sweep needs Optuna, which is not installed", "pip install 'grpo-cli[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _quiet() -> warnings.catch_warnings:
    """Leave out Optuna's remarks on what is experimental."""
    return warnings.catch_warnings(action="ignore")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
