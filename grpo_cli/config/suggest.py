"""The nearest valid names to a mistyped one."""

import difflib
from collections.abc import Iterable

from grpo_cli.errors import ConfigError

_NEAR = 0.66
"""Smallest likeness, from 0 to 1, that is worth suggesting."""


def nearest(word: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` of `names` that `word` was probably meant to be, best first.

    Last parts are compared (`eps_low` finds `loss.eps_low`), a beginning counts as near (`Acrobot`
    finds `Acrobot-v1`), case is ignored; the rest is difflib's ratio.
    """
    scored = [(_likeness(word.lower(), name.lower()), name) for name in dict.fromkeys(names)]
    good = sorted((-score, name) for score, name in scored if score >= _NEAR)
    return [name for score, name in good if score <= good[0][0] + 0.11][:limit]


def _likeness(word: str, name: str) -> float:
    """Compare last parts; a common beginning such as `loss.` counts a little."""
    if word == name:
        return 1.0
    head, _, leaf = word.rpartition(".")
    group, _, last = name.rpartition(".")
    same_head = 0.12 if head and head == group else 0.0
    if leaf == last:
        return 0.95 + same_head
    if len(leaf) > 2 and last.startswith(leaf):
        return 0.85 + same_head
    return 0.9 * difflib.SequenceMatcher(None, leaf, last).ratio() + same_head


def did_you_mean(word: str, names: Iterable[str], limit: int = 3) -> str:
    """Return `did you mean a or b?`, or an empty text when nothing is near."""
    near = nearest(word, names, limit)
    return f"did you mean {listed(near, 'or')}?" if near else ""


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return `a, b and c`."""
    words = list(names)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def unknown_key(key: str, valid: Iterable[str]) -> ConfigError:
    """Return the error for a key that is not in the tree, with the nearest of `valid`."""
    names = list(dict.fromkeys(valid))
    head = key.rpartition(".")[0]
    siblings = [name for name in names if head and name.rpartition(".")[0] == head]
    fix = f"{head} takes {listed(siblings)}" if siblings else "--help lists the keys"
    return ConfigError(f"unknown key {key}", did_you_mean(key, names) or fix)
