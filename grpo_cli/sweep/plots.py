"""Pictures of a sweep: its history, slices, parallel coordinates, and what mattered."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import log
from typing import TYPE_CHECKING, Any

from grpo_cli.sweep.claims import COMPLETE, FAILED, FRESH, PRUNED, TRIAL, Row
from grpo_cli.sweep.objective import SCORES
from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.space import Choice, Dimension, Interval, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by people with any colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#999999"
DPI = 144


def prepare() -> None:
    """Load Matplotlib while trials run, so that nobody waits for it in the end."""
    with suppress(ImportError):
        import matplotlib.figure
        import matplotlib.ticker  # noqa: F401


def draw(
    plan: Plan, rows: Sequence[Row], importances: Mapping[str, float], best: int | None
) -> list[str]:
    """Draw what can be drawn of a sweep into `plots/`.

    Args:
        plan: of the sweep.
        rows: of its claims.
        importances: of its dimensions, summing to 1.
        best: number of the trial that is called best.

    Returns:
        The files; none where Matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return []
    drawing = _Drawing(plan, rows, importances, best)
    ways: dict[str, Callable[[], Figure | None]] = {
        "history": drawing.history,
        "parallel": drawing.parallel,
        "importances": drawing.importances,
        "slices": drawing.slices,
    }
    folder = plan.folder / "plots"
    folder.mkdir(exist_ok=True)
    files = []
    for title, way in ways.items():
        figure = way()
        path = folder / f"{title}.png"
        if figure is None:
            path.unlink(missing_ok=True)  # of a shorter sweep of that name
            continue
        figure.savefig(path, dpi=DPI)
        files.append(str(path))
    return files


class _Drawing:
    """What the pictures have in common; see `draw`."""

    def __init__(
        self, plan: Plan, rows: Sequence[Row], importances: Mapping[str, float], best: int | None
    ) -> None:
        self._plan, self._rows, self._importances = plan, rows, importances
        trials = [row for row in rows if row.kind == TRIAL]
        self._complete = [row for row in trials if row.state == COMPLETE and row.value is not None]
        self._pruned = [row for row in trials if row.state == PRUNED]
        self._failed = [row for row in trials if row.state == FAILED]
        self._best = [row for row in self._complete if row.number == best]

    def history(self) -> "Figure | None":
        """What each trial was worth, and the best so far; the best again on fresh seeds."""
        if not self._complete:
            return None
        figure, [ax] = _axes(self._plan, "trial by trial")
        self._dots(ax, lambda row: row.number)
        numbers = [row.number for row in self._complete]
        best = [self._complete[0].value or 0.0]
        for row in self._complete[1:]:
            value = row.value or 0.0
            best.append(value if self._plan.better(value, best[-1]) else best[-1])
        end = max(row.number for row in self._rows)
        ax.step([*numbers, end], [*best, best[-1]], where="post", color=BLUE, label="best so far")
        fresh = [row for row in self._rows if row.kind == FRESH and row.value is not None]
        if fresh:
            ax.plot(
                [row.number for row in fresh], [row.value or 0.0 for row in fresh],
                linestyle="", marker="D", markersize=4, color=GREEN, label="on fresh seeds",
            )  # fmt: skip
        for row in self._failed:
            label = "failed" if row is self._failed[0] else None
            ax.axvline(row.number, ymax=0.03, color=ORANGE, linewidth=2, label=label)
        ax.set_xlabel("trial")
        _whole(ax)
        _legend(figure, ax)
        return figure

    def slices(self) -> "Figure | None":
        """What each trial was worth, over each of the settings."""
        if not self._complete:
            return None
        dimensions = self._plan.space.dimensions
        figure, axes = _axes(self._plan, "by setting", len(dimensions))
        for ax, dimension in zip(axes, dimensions, strict=True):
            self._dots(ax, lambda row, d=dimension: _place(d, row))
            _scale(ax, dimension)
        _legend(figure, axes[0])
        return figure

    def _dots(self, ax: "Axes", place: Callable[[Row], float]) -> None:
        """Show trials; those that were pruned where they stood, if that is on the same scale."""
        pruned = self._pruned if self._plan.objective in SCORES else []
        seen = [row for row in pruned if row.facts.get("score") is not None]
        if seen:
            ax.scatter(
                [place(row) for row in seen], [row.facts["score"] for row in seen],
                marker="x", s=18, color=GREY, linewidth=1, label="pruned there",
            )  # fmt: skip
        ax.scatter(
            [place(row) for row in self._complete], [row.value or 0.0 for row in self._complete],
            s=22, color=BLUE, alpha=0.75, linewidth=0, label="complete", zorder=3,
        )  # fmt: skip
        for row in self._best:
            ax.scatter(
                [place(row)], [row.value or 0.0], s=60, facecolor="none", edgecolor=ORANGE,
                linewidth=1.6, label="called best", zorder=4,
            )  # fmt: skip

    def parallel(self) -> "Figure | None":
        """A line for each trial through all of its settings to what it was worth."""
        dimensions = self._plan.space.dimensions
        if not self._complete or not dimensions:
            return None
        figure, [ax] = _axes(self._plan, "settings of each trial")
        figure.set_size_inches(max(6.4, 1.5 * (len(dimensions) + 1)), 4.2)
        values = [row.value or 0.0 for row in self._complete]
        low, high = min(values), max(values)
        worth = [(value - low) / ((high - low) or 1.0) for value in values]
        for row in self._pruned:
            at = [_height(d, row) for d in dimensions]
            ax.plot(range(len(at)), at, color=GREY, alpha=0.35, linewidth=0.8)
        colour = _colours(reverse=not self._plan.maximize)
        order = sorted(zip(worth, self._complete, strict=True), key=lambda pair: pair[0])
        for height, row in order if self._plan.maximize else reversed(order):
            at = [*(_height(d, row) for d in dimensions), height]
            ax.plot(range(len(at)), at, color=colour(height), linewidth=1.6, alpha=0.9)
        for place, dimension in enumerate(dimensions):
            _ruler(ax, place, _marks(dimension))
        _ruler(ax, len(dimensions), [(0.0, _number(low)), (1.0, _number(high))])
        names = [*self._plan.space.names, self._plan.objective]
        ax.set_xticks(range(len(names)), names)
        ax.set_xlim(-0.3, len(dimensions) + 0.5)
        ax.set_yticks([])
        ax.set_ylabel("")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
        figure.tight_layout()
        if self._pruned:
            ax.plot([], [], color=GREY, linewidth=0.8, label="pruned")
            _legend(figure, ax)
        return figure

    def importances(self) -> "Figure | None":
        """How much each of the settings mattered."""
        if not self._importances:
            return None
        figure, [ax] = _axes(self._plan, "what mattered (PED-ANOVA)")
        found = sorted(self._importances.items(), key=lambda pair: pair[1])
        figure.set_size_inches(6.4, 1.4 + 0.4 * len(found))
        bars = ax.barh([name for name, _ in found], [100 * x for _, x in found], color=BLUE)
        ax.bar_label(bars, [f"{100 * x:.0f} %" for _, x in found], padding=3)
        ax.set_xlim(0, 110 * max(x for _, x in found))
        ax.set_xticks([])
        ax.set_ylabel("")
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        figure.tight_layout()
        return figure


def _axes(plan: Plan, title: str, count: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return a figure with `count` charts beside each other that share what is on the left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.4, 2.4 * count), 4.2))
    axes = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    axes[0].set_title(f"{plan.name}: {title}", loc="left", fontweight="bold")
    axes[0].set_ylabel(plan.objective)
    return figure, axes


def _legend(figure: "Figure", ax: "Axes") -> None:
    """Say what is what below the charts, where it hides nothing."""
    shown, said = ax.get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.legend(shown, said, loc="lower center", ncols=len(said), frameon=False, fontsize="small")


def _place(dimension: Dimension, row: Row) -> float:
    """Return where a trial is along a dimension: a number, or which of the choices."""
    value = (row.params or {})[name_of(dimension.word)]
    if isinstance(dimension, Choice):
        return float(dimension.values.index(str(value)))
    return float(value)


def _height(dimension: Dimension, row: Row) -> float:
    """Return where a trial is along a dimension, from 0 to 1."""
    return _share(dimension, _place(dimension, row))


def _share(dimension: Dimension, place: float) -> float:
    if isinstance(dimension, Choice):
        return place / max(1, len(dimension.values) - 1)
    if isinstance(dimension, Interval) and dimension.log:
        return log(place / dimension.low) / log(dimension.high / dimension.low)
    return (place - dimension.low) / ((dimension.high - dimension.low) or 1.0)


def _marks(dimension: Dimension) -> list[tuple[float, str]]:
    """Return places of a dimension, from 0 to 1, and what they are called."""
    if isinstance(dimension, Choice):
        return [(_share(dimension, n), value) for n, value in enumerate(dimension.values)]
    low, high = dimension.low, dimension.high
    even = not (isinstance(dimension, Interval) and dimension.log)
    middle = (low + high) / 2 if even else (low * high) ** 0.5
    return [(_share(dimension, x), _number(x)) for x in (low, middle, high)]


def _ruler(ax: "Axes", place: int, marks: Sequence[tuple[float, str]]) -> None:
    """Draw a vertical axis with labels that can be read where lines cross it."""
    ax.plot([place, place], [0, 1], color="black", linewidth=0.8, zorder=4)
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
    for height, label in marks:
        ax.plot([place - 0.03, place], [height, height], color="black", linewidth=0.8, zorder=4)
        ax.text(place + 0.04, height, label, fontsize="small", va="center", bbox=box, zorder=5)


def _scale(ax: "Axes", dimension: Dimension) -> None:
    """Set up what is along the bottom."""
    ax.set_xlabel(name_of(dimension.word))
    if isinstance(dimension, Choice):
        ax.set_xticks(range(len(dimension.values)), dimension.values)
        ax.set_xlim(-0.5, len(dimension.values) - 0.5)
        longest = max(map(len, dimension.values))
        if longest * len(dimension.values) > 24:
            ax.tick_params(axis="x", rotation=30)
    elif isinstance(dimension, Interval) and dimension.log:
        from matplotlib.ticker import LogLocator, NullFormatter

        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=4))
        ax.xaxis.set_minor_formatter(NullFormatter())
    elif isinstance(dimension.low, int):
        _whole(ax, 4)
    else:
        ax.locator_params(axis="x", nbins=4)


def _whole(ax: "Axes", most: int = 9) -> None:
    """Mark whole numbers only along the bottom."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(most, integer=True))


def _colours(reverse: bool) -> Callable[[float], Any]:
    """Return the colour of a trial by what it was worth, from 0 to 1; the best is dark."""
    import matplotlib as mpl

    scale = mpl.colormaps["viridis_r" if not reverse else "viridis"]
    return lambda worth: scale(0.05 + 0.95 * worth)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.3g}"
