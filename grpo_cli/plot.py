"""Curves of runs over their seeds, as data and as a picture file (PNG, SVG or PDF)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from grpo_cli.errors import ConfigError, GrpoError, MissingPackage
from grpo_cli.runs import Band, Run, Series, bands, series, sides
from grpo_cli.runs.curves import RETURN, STATISTICS

__all__ = ["FORMATS", "RETURN", "STATISTICS", "curves", "draw"]

FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito (2008): told apart by people with any colour vision.
COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #000000".split()
INSTALL = "pip install 'grpo-cli[plot]'"


def curves(runs: Sequence[Run], metric: str, statistic: str) -> dict[str, dict[str, Band]]:
    """Summarise a metric over seeds, for each environment and each side of its runs.

    Args:
        runs: all of them.
        metric: a name of docs/metrics.md.
        statistic: mean or iqm.

    Raises:
        ConfigError: no run has such a metric.
    """
    found: dict[str, dict[str, Band]] = {}
    seen: set[str] = set()
    by_env: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_env[run.env].append(run)
    for env, of_env in by_env.items():
        groups: dict[str, list[Series]] = {}
        for label, group in sides(of_env).items():
            read = [series(run) for run in group]
            seen.update(name for metrics in read for name in metrics)
            having = [metrics[metric] for metrics in read if metric in metrics]
            if having:
                groups[label] = having
        if groups:
            found[env] = bands(groups, statistic)
    if not found:
        known = ", ".join(sorted(name for name in seen if not name.startswith("time/"))[:12])
        raise ConfigError(
            f"none of these runs has {metric}",
            f"they have {known}, ..." if known else "they have not finished an update",
        )
    return found


def draw(path: Path, found: Mapping[str, Mapping[str, Band]], metric: str, statistic: str) -> None:
    """Write a picture: one chart for each environment.

    Raises:
        MissingPackage: matplotlib is not installed.
        GrpoError: the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingPackage("pictures need matplotlib, which is not installed", INSTALL) from error
    mpl.use("agg")
    # Text as text: it can be searched and read aloud; and the same bytes every time.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "grpo"}
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * min(2, len(found)), 4.2 * ((len(found) + 1) // 2)))
    axes = figure.subplots((len(found) + 1) // 2, min(2, len(found)), squeeze=False).ravel()
    for unused in axes[len(found) :]:
        unused.set_axis_off()
    for ax, (env, lines) in zip(axes, found.items(), strict=False):
        for (label, band), colour in zip(lines.items(), cycle(COLOURS), strict=False):
            said = f"{label} ({band.runs} seed{'s' * (band.runs > 1)})"
            ax.plot(band.x, band.y, color=colour, label=said, linewidth=1.8)
            ax.fill_between(band.x, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
        ax.set_title(env, loc="left", fontweight="bold")
        ax.set_xlabel("env steps")
        ax.set_ylabel(f"{metric}, {statistic.upper() if statistic == 'iqm' else statistic}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.legend(frameon=False, fontsize="small")
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise GrpoError(
            f"{path} cannot be written: {error.strerror or error}", "give another file"
        ) from error
