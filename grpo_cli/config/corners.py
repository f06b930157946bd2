"""Points of a search space, composed and checked: before a sweep begins, and before each trial."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from grpo_cli.config.compose import Composed, compose_all
from grpo_cli.config.explain import explained
from grpo_cli.config.schema import GROUPS
from grpo_cli.config.words import rewrite
from grpo_cli.errors import ConfigError
from grpo_cli.sweep.space import Params, Space, Value


class Corners:
    """What can be composed of a search space.

    Hydra takes a fifth of a second; points that differ only in plain values share its work.

    Args:
        fixed: words that all points share.
        space: what varies.
        dirs: the person's own config folders.

    Attributes:
        trainable: points that `look` has composed; they meet every choice.
        impossible: points that cannot be trained, and why.
    """

    def __init__(self, fixed: Iterable[str], space: Space, dirs: tuple[Path, ...]) -> None:
        self.trainable: list[Composed] = []
        self.impossible: list[tuple[Params, str]] = []
        self._fixed, self._space, self._dirs = tuple(fixed), space, dirs
        self._known: dict[tuple[str, ...], Composed] = {}

    def at(self, params: Params) -> Composed:
        """Return the configuration of a point.

        Raises:
            ConfigError: it cannot be trained.
        """
        words = self._space.words(params)
        values: dict[str, Any] = {}
        shape = []
        with explained(self._dirs):
            for word in words:
                key, value = _read(word)
                if key in GROUPS or isinstance(value, dict | list):
                    shape.append(word)
                else:
                    values[key] = value
            near = self._known.get(tuple(shape))
            if near is None:
                composed = compose_all([*self._fixed, *words], self._dirs)
            else:
                composed = replace(near, cfg=deepcopy(near.cfg), overrides=[*self._fixed, *words])
                for key, value in values.items():
                    OmegaConf.update(composed.cfg, key, value)
        composed.check()
        self._known.setdefault(tuple(shape), composed)
        return composed

    def refused(self, params: Params) -> str:
        """Return why a point cannot be trained; empty where it can."""
        try:
            self.at(params)
        except ConfigError as error:
            return _said(error)
        return ""

    def look(self) -> None:
        """Compose points that meet every choice, and every end of a range.

        A combination may be impossible; a value that is, whatever stands beside it, is a mistake.

        Raises:
            ConfigError: there is such a value, or nothing can be trained.
        """
        bad: list[tuple[Params, ConfigError]] = []
        good: list[Params] = []
        for params in self._space.corners():
            try:
                self.trainable.append(self.at(params))
                good.append(params)
            except ConfigError as error:
                bad.append((params, error))
        if bad and not good:
            raise bad[0][1]
        for params, error in bad:
            for name, value in params.items():
                self._require_some_use(name, value, good)
            self.impossible.append((params, _said(error)))

    def _require_some_use(self, name: str, value: Value, good: list[Params]) -> None:
        """Refuse a value that goes with no point that can be trained."""
        if any(params[name] == value for params in good):
            return
        first: ConfigError | None = None
        for params in list(good):
            try:
                self.trainable.append(self.at({**params, name: value}))
                return good.append({**params, name: value})
            except ConfigError as error:
                first = first or error
        if first is not None:
            named = "" if first.what.startswith(name) else f"{name}={value}: "
            raise ConfigError(named + first.what, first.fix)


def _said(error: ConfigError) -> str:
    return f"{error.what}; {error.fix}" if error.fix else error.what


def _read(word: str) -> tuple[str, Any]:
    """Return key and value of a word."""
    seen = word if word.partition("=")[0] in GROUPS else rewrite(word)
    override = OverridesParser.create().parse_override(seen)
    return override.key_or_group, override.value()
