"""Charts of characters: a curve with a band, sparklines, a stacked bar. Pure; no terminal here.

A row is a list of spans, (text, style): the styles are Rich's names, and every character is one
column wide, so a row's width is the sum of its texts' lengths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from grpo_cli.sinks.format import count, number
from grpo_cli.sinks.history import Curve

Span: TypeAlias = tuple[str, str]
Row: TypeAlias = list[Span]

BLOCKS = " ▁▂▃▄▅▆▇█"
# Braille: 2 x 4 dots per character; the bit of each dot, by row and column.
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
AXIS_WIDTH = 8
BARS = 24
# A goal that would squeeze the curve below this share of the height is left out of the picture.
LEAST_SHARE = 0.15
# A curve of more points than this is smoothed down to about as many independent ones.
DETAIL = 64


@dataclass(frozen=True)
class Picture:
    """What `draw` draws, each part in env steps and rewards.

    Args:
        line: the curve itself.
        low: lower edge of the band.
        high: upper edge of the band.
        marks: single points.
        goal: a height to reach, or None.
    """

    line: Curve
    low: Curve
    high: Curve
    marks: Curve
    goal: float | None


STYLES = {" ": "", "░": "blue", "┄": "green", "●": "bold yellow"}
LINE_STYLE = "bold cyan"
# Of several curves in one chart, in their order.
LINE_STYLES = (LINE_STYLE, "bold magenta", "bold green", "bold yellow", "bold blue", "bold red")


def draw(picture: Picture, width: int, height: int) -> list[Row]:
    """The curve over its band, with axes.

    Args:
        picture: what to draw.
        width: columns, axis labels included.
        height: rows of the chart; one more follows for the x axis.

    Returns:
        height + 1 rows, each exactly `width` columns.
    """
    smooth = replace(
        picture, line=_smooth(picture.line), low=_smooth(picture.low), high=_smooth(picture.high)
    )
    return overlay([smooth], width, height)


def overlay(pictures: Sequence[Picture], width: int, height: int) -> list[Row]:
    """Several curves on the same axes, each in a colour of LINE_STYLES, as they are.

    The band and the goal are those of the first; `width` and `height` are those of `draw`.
    """
    pictures = [picture for picture in pictures if picture.line.x]
    if not pictures:
        return [[(" " * width, "")] for _ in range(height + 1)]
    columns, first = width - AXIS_WIDTH, pictures[0]
    bottom, top = _range(pictures)
    start = min(picture.line.x[0] for picture in pictures)
    end = max(start + 1, *(picture.line.x[-1] for picture in pictures))
    cells = np.full((height, columns), " ", dtype="<U1")
    owner = np.zeros((height, columns), int)
    rows_of = _Scale(bottom, top, height)
    x_cells = np.linspace(start, end, columns)
    if first.low.x and first.high.x:
        _band(cells, rows_of, x_cells, first)
    if first.goal is not None and bottom <= first.goal <= top:
        row = rows_of.cell(first.goal)
        cells[row, cells[row] == " "] = "┄"
    for number_of, picture in enumerate(pictures):
        _curve(cells, owner, number_of, rows_of, (start, end), picture.line)
        for x, y in zip(picture.marks.x, picture.marks.y, strict=True):
            column = round((x - start) / (end - start) * (columns - 1))
            cells[rows_of.cell(y), min(max(column, 0), columns - 1)] = "●"
    labels = {0: top, height // 2: rows_of.value(height // 2), height - 1: bottom}
    rows = [
        [(f"{number(labels[i]) if i in labels else '':>{AXIS_WIDTH - 2}} │", "dim"), *spans]
        for i, spans in enumerate(map(_spans, cells, owner))
    ]
    return [*rows, [_x_axis(start, end, width)]]


def sparkline(curve: Curve, width: int) -> str:
    """The curve in `width` characters, scaled to its own range; blank where there is none."""
    if len(curve.x) < 2 or width < 1:
        return " " * width
    y = np.interp(np.linspace(curve.x[0], curve.x[-1], width), curve.x, curve.y)
    low, high = float(y.min()), float(y.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        return BLOCKS[1] * width
    levels = 1 + np.rint((y - low) / (high - low) * (len(BLOCKS) - 2)).astype(int)
    return "".join(BLOCKS[level] for level in levels)


def histogram(sample: np.ndarray, width: int) -> str:
    """The finite values of a sample, [n], in at most 24 wide bars from its smallest to its largest.

    Heights are square roots of the counts, so that the few far from the middle are seen.
    """
    finite = sample[np.isfinite(sample)]
    if not finite.size or width < 1:
        return " " * width
    bars = min(width, BARS)
    counts, _ = np.histogram(finite, bins=bars)
    levels = np.ceil(np.sqrt(counts / counts.max()) * (len(BLOCKS) - 1)).astype(int)
    return "".join(BLOCKS[levels[column * bars // width]] for column in range(width))


def stacked(shares: Mapping[str, float], looks: Mapping[str, Span], width: int) -> Row:
    """A bar of `width` characters divided by shares (summing to 1), rounded without a gap."""
    edges = np.rint(np.cumsum([0.0, *shares.values()]) * width).astype(int)
    return [
        (looks[name][0] * int(b - a), looks[name][1])
        for name, a, b in zip(shares, edges[:-1], edges[1:], strict=True)
        if b > a
    ]


@dataclass(frozen=True)
class _Scale:
    """From values to rows, row 0 at the top."""

    bottom: float
    top: float
    height: int

    def cell(self, value: float) -> int:
        share = (value - self.bottom) / (self.top - self.bottom)
        return min(self.height - 1, max(0, int((1 - share) * self.height)))

    def dots(self, values: np.ndarray) -> np.ndarray:
        share = (values - self.bottom) / (self.top - self.bottom)
        rows = np.rint((1 - share) * (4 * self.height - 1)).astype(int)
        return np.clip(rows, 0, 4 * self.height - 1)

    def value(self, row: int) -> float:
        return self.top - (row + 0.5) / self.height * (self.top - self.bottom)


def _range(pictures: Sequence[Picture]) -> tuple[float, float]:
    parts = [(p.line, p.low, p.high, p.marks) for p in pictures]
    values = [y for curves in parts for curve in curves for y in curve.y]
    low, high = min(values), max(values)
    goal = pictures[0].goal
    if goal is not None:
        with_goal = max(high, goal) - min(low, goal)
        if with_goal > 0 and (high - low) / with_goal >= LEAST_SHARE:
            low, high = min(low, goal), max(high, goal)
    if high - low < 1e-9 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    return low, high


def _smooth(curve: Curve) -> Curve:
    """Centred moving mean; near the ends the window shrinks, so the last point stays recent."""
    n = len(curve.y)
    half = n // DETAIL // 2 + (n > DETAIL)
    if half == 0:
        return curve
    sums = np.concatenate([[0.0], np.cumsum(curve.y)])
    at = np.arange(n)
    reach = np.minimum(half, np.minimum(at, n - 1 - at))
    y = (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)
    return Curve(curve.x, y.tolist())


def _band(cells: np.ndarray, scale: _Scale, x: np.ndarray, picture: Picture) -> None:
    low = np.interp(x, picture.low.x, picture.low.y)
    high = np.interp(x, picture.high.x, picture.high.y)
    middle = np.array([scale.value(row) for row in range(scale.height)])[:, None]
    cells[(middle >= low) & (middle <= high)] = "░"


def _curve(
    cells: np.ndarray,
    owner: np.ndarray,
    number_of: int,
    scale: _Scale,
    ends: tuple[float, float],
    line: Curve,
) -> None:
    """Dots from each column's height to the next one's, so that steep parts stay connected."""
    x = np.linspace(*ends, 2 * cells.shape[1])
    rows = scale.dots(np.interp(x, line.x, line.y))
    before = np.concatenate([rows[:1], rows[:-1]])
    every = np.arange(4 * scale.height)[:, None]
    on = (every >= np.minimum(rows, before)) & (every <= np.maximum(rows, before))
    on &= (x >= line.x[0]) & (x <= max(line.x[-1], line.x[0] + (ends[1] - ends[0]) / len(x)))
    bits = (on.reshape(scale.height, 4, -1, 2) * DOTS[None, :, None, :]).sum(axis=(1, 3))
    for i, j in zip(*np.nonzero(bits), strict=True):
        drawn = ord(str(cells[i, j])) - 0x2800
        cells[i, j] = chr(0x2800 + (bits[i, j] | (drawn if 0 < drawn <= 0xFF else 0)))
        owner[i, j] = number_of


def _spans(row: np.ndarray, owner: np.ndarray) -> Row:
    """Neighbours of one style joined into one span."""
    spans: Row = []
    for character, of in zip(row, owner, strict=True):
        style = STYLES.get(str(character), LINE_STYLES[int(of) % len(LINE_STYLES)])
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + character, style)
        else:
            spans.append((str(character), style))
    return spans


def _x_axis(start: float, end: float, width: int) -> Span:
    left, right = count(start), f"{count(end)} steps"
    gap = width - AXIS_WIDTH - len(left) - len(right)
    return (f"{'':{AXIS_WIDTH}}{left}{' ' * max(1, gap)}{right}"[:width].ljust(width), "dim")


def fit(rows: Sequence[Row], width: int) -> list[Row]:
    """Cut every row at `width` columns."""
    return [_cut(row, width) for row in rows]


def _cut(row: Row, width: int) -> Row:
    kept: Row = []
    for text, style in row:
        if width <= 0:
            break
        kept.append((text[:width], style))
        width -= len(text)
    return kept
