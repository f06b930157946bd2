"""What a single value may be, and how to say so."""

import math
import re
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, dataclass
from types import UnionType
from typing import Any, get_args, get_origin

from grpo_cli.config.rules import Rule
from grpo_cli.config.schema import MISSING
from grpo_cli.config.suggest import did_you_mean, listed
from grpo_cli.errors import ConfigError

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_MANY = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts"}


@dataclass(frozen=True)
class Expected:
    """Type, range and default of one value.

    Attributes:
        rule: range and choices.
        kind: the type of the value, or of its elements; None allows every type.
        many: it is a list.
        default: shown to the person; MISSING where there is none.
    """

    rule: Rule
    kind: type | None
    many: bool = False
    default: Any = MISSING

    @classmethod
    def of_field(cls, entry: Field[Any]) -> "Expected":
        """Read a dataclass field with a rule in its metadata."""
        rule: Rule = entry.metadata["rule"]
        if get_origin(entry.type) is list:
            return cls(rule, None, many=True, default=[])
        union = isinstance(entry.type, UnionType)
        options = get_args(entry.type) if union else (entry.type,)
        kind = rule.kind or next((kind for kind in _ONE if kind in options), None)
        default = MISSING if entry.default is NO_DEFAULT else entry.default
        return cls(rule, kind, default=default)

    @classmethod
    def of_default(cls, default: Any, rule: Rule) -> "Expected":
        """Read a value of a shipped YAML file: the type of the default is the type allowed."""
        many = isinstance(default, list)
        sample = default[0] if many and default else None if many else default
        text = str if many and rule.choices else None
        kind = rule.kind or (text if sample is None else type(sample))
        return cls(rule, kind, many, default)

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError, naming `key`, unless `value` is allowed."""
        if self.fits(value):
            return
        near = did_you_mean(value, self.rule.choices) if isinstance(value, str) else ""
        default = "" if self.default == MISSING else f"for example {key}={typed(self.default)}"
        raise ConfigError(f"{key} must be {self.words}, got {typed(value)}", near or default)

    def fits(self, value: Any) -> bool:
        """Say whether `value` is allowed."""
        if value is None:
            return self.rule.optional or (self.kind is None and not self.many)
        if self.many:
            return isinstance(value, list) and all(map(self._fits_one, value))
        return self._fits_one(value)

    def _fits_one(self, value: Any) -> bool:
        if isinstance(value, str) and self.rule.choices:
            return value in self.rule.choices
        return self._has_type(value) and self._in_range(value)

    def _has_type(self, value: Any) -> bool:
        if self.kind in (int, float):
            numbers = int if self.kind is int else (int, float)
            return isinstance(value, numbers) and not isinstance(value, bool)
        return self.kind is None or isinstance(value, self.kind)

    def _in_range(self, value: Any) -> bool:
        rule = self.rule
        if isinstance(value, str):
            return not rule.pattern or re.fullmatch(rule.pattern, value) is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (rule.low is None or value >= rule.low)
            and (rule.above is None or value > rule.above)
            and (rule.high is None or value <= rule.high)
        )

    @property
    def words(self) -> str:
        """What is allowed: `a whole number, at least 2`."""
        limits = " and ".join(
            f"{word} {limit:g}"
            for word, limit in (
                ("at least", self.rule.low),
                ("above", self.rule.above),
                ("at most", self.rule.high),
            )
            if limit is not None
        )
        words = f"{self._noun}, {limits}" if limits else self._noun
        return f"{words}, or null" if self.rule.optional else words

    @property
    def type_words(self) -> str:
        """What is allowed, in the few characters of a table: `int >= 2`, `float or null`."""
        rule = self.rule
        limits = [
            f"{sign} {limit:g}"
            for sign, limit in ((">=", rule.low), (">", rule.above), ("<=", rule.high))
            if limit is not None
        ]
        kind = self.kind.__name__ if self.kind else "any"
        texts = "|".join(rule.choices)
        names = "|".join(part for part in ("" if kind == "str" and texts else kind, texts) if part)
        return f"{names} {', '.join(limits)}".strip() + (" or null" if rule.optional else "")

    @property
    def _noun(self) -> str:
        rule, kind = self.rule, self.kind or object
        if self.many and rule.says:
            return rule.says
        if self.many:
            return f"a list of {listed(rule.choices) or _MANY.get(kind, 'values')}"
        if rule.choices:
            number = [_ONE[kind]] if kind in (int, float) else []
            return listed([*number, *rule.choices], "or")
        return rule.says or _ONE.get(kind, "a value")


def seconds(duration: str | None) -> float | None:
    """Return a duration such as `1h30m` in seconds."""
    if duration is None:
        return None
    units = {"h": 3600, "m": 60, "s": 1}
    return float(sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([hms])", duration)))


def typed(value: Any) -> str:
    """Return a value as a person would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {typed(entry)}' for key, entry in value.items())}}}"
    return str(value) if value != "" else "''"
