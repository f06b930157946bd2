"""Charts: the right width, the right shape, every character in its place."""

import numpy as np
import pytest

from grpo_cli.sinks.chart import (
    LINE_STYLES,
    Picture,
    Row,
    draw,
    fit,
    histogram,
    overlay,
    sparkline,
    stacked,
)
from grpo_cli.sinks.history import Curve


def curve(*ys: float) -> Curve:
    return Curve([float(i) for i in range(len(ys))], list(ys))


def text(row: Row) -> str:
    return "".join(part for part, _ in row)


def picture(line: Curve, goal: float | None = None, **parts: Curve) -> Picture:
    none = Curve()
    return Picture(
        line, parts.get("low", none), parts.get("high", none), parts.get("marks", none), goal
    )


@pytest.mark.parametrize("width", [20, 80, 161])
@pytest.mark.parametrize("line", [curve(), curve(3.0), curve(1.0, 1.0), curve(*range(300))])
def test_every_row_is_as_wide_as_asked(line, width):
    rows = draw(picture(line, goal=2.0), width, 6)
    assert len(rows) == 7
    assert {len(text(row)) for row in rows} == {width}


def test_a_rising_line_rises():
    rows = [text(row) for row in draw(picture(curve(0.0, 1.0)), 28, 4)]
    first = [min((i for i, c in enumerate(row) if "\u2800" < c <= "\u28ff")) for row in rows[:4]]
    # the top row begins furthest right
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 4


def test_a_flat_line_is_one_row():
    rows = [text(row) for row in draw(picture(curve(5.0, 5.0, 5.0)), 28, 5)]
    assert sum(any("\u2800" < c <= "\u28ff" for c in row) for row in rows) == 1


def test_the_band_is_between_its_edges():
    band = picture(curve(5.0, 5.0), low=curve(0.0, 0.0), high=curve(10.0, 10.0))
    rows = [text(row) for row in draw(band, 28, 5)][:5]
    assert all("░" in row for row in rows[:2] + rows[3:])
    narrow = picture(curve(0.0, 10.0), low=curve(4.0, 4.0), high=curve(6.0, 6.0))
    rows = [text(row) for row in draw(narrow, 28, 5)][:5]
    assert ["░" in row for row in rows] == [False, False, True, False, False]


def test_marks_and_the_goal_are_drawn():
    rows = draw(picture(curve(0.0, 100.0), goal=50.0, marks=curve(0.0, 100.0)), 48, 5)
    assert "┄" in text(rows[2])
    assert text(rows[0]).endswith("●")
    assert text(rows[4])[8] == "●"


def test_a_goal_far_away_does_not_flatten_the_curve():
    near = [text(row) for row in draw(picture(curve(0.0, 10.0), goal=1e6), 48, 5)]
    assert near == [text(row) for row in draw(picture(curve(0.0, 10.0)), 48, 5)]


def test_sparkline_spans_its_own_range():
    assert sparkline(curve(*range(8)), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(curve(3.0, 3.0), 4) == "▁▁▁▁"
    assert sparkline(curve(), 4) == "    "


def test_a_stacked_bar_has_no_gaps():
    looks = {"a": ("x", ""), "b": ("y", ""), "c": ("z", "")}
    for width in range(1, 40):
        shares = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
        assert len(text(stacked(shares, looks, width))) == width
    assert text(stacked({"a": 0.25, "b": 0.0, "c": 0.75}, looks, 8)) == "xxzzzzzz"


def test_fit_cuts_at_the_width():
    assert fit([[("abc", "dim"), ("def", "bold")]], 4) == [[("abc", "dim"), ("d", "bold")]]


def test_several_curves_share_the_axes_and_keep_their_colours():
    low, high = picture(curve(0.0, 0.0)), picture(curve(10.0, 10.0))
    rows = overlay([low, high], 48, 5)
    assert {len(text(row)) for row in rows} == {48}
    top, bottom = rows[0][-1], rows[4][-1]
    assert (top[1], bottom[1]) == (LINE_STYLES[1], LINE_STYLES[0])
    assert text(rows[0]).startswith("  10.0 │")


def test_a_histogram_is_as_wide_as_asked_and_shows_every_value():
    assert histogram(np.array([0.0, 1.0, 1.0, 1.0, 1.0, np.nan]), 5) == "▄   █"
    assert histogram(np.array([np.nan]), 5) == " " * 5
    assert len(histogram(np.arange(1000.0), 40)) == 40
