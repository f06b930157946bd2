"""Rows of the dashboard that are one bar: the advantages, and where the time goes."""

import numpy as np

from grpo_cli.sinks import chart
from grpo_cli.sinks.chart import Row, Span
from grpo_cli.sinks.format import number
from grpo_cli.sinks.history import History

LABEL = 13
WIDEST = 76  # columns of a histogram; its bars would say no more
# More take longer to count and look the same.
MOST_ADVANTAGES = 20_000
# How the parts of the time bar look: told apart without colour too.
SPENT_LOOKS: dict[str, Span] = {
    "env": ("█", "blue"),
    "act": ("▓", "cyan"),
    "update": ("▒", "magenta"),
    "eval": ("░", "yellow"),
    "other": ("·", "dim"),
}


def advantages(history: History, width: int) -> Row:
    """A histogram of the last update's advantages between their least and their greatest."""
    sample = history.advantages
    if sample is None or not np.isfinite(sample).any():
        return []
    finite = sample[np.isfinite(sample)][-MOST_ADVANTAGES:]
    low, high = f"{number(float(finite.min()))} ", f" {number(float(finite.max()))}"
    room = max(0, min(WIDEST, width) - LABEL - len(low) - len(high))
    bars = chart.histogram(finite, room)
    return [("advantages".ljust(LABEL), "dim"), (low, ""), (bars, "cyan"), (high, "")]


def time(history: History, width: int) -> Row:
    """Where the recent time went."""
    shares = {name: share for name, share in history.spent.items() if share >= 0.005}
    if not shares:
        return []
    legend: Row = []
    for name, share in shares.items():
        glyph, style = SPENT_LOOKS[name]
        legend += [(f" {glyph}", style), (f" {name} {100 * share:.0f}%", "")]
    room = max(0, width - LABEL - sum(len(text) for text, _ in legend))
    bar = chart.stacked(shares, SPENT_LOOKS, room)
    return [("time".ljust(LABEL), "dim"), *bar, *legend]
