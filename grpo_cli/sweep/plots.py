"""Pictures of a sweep, drawn by Optuna: history, parallel coordinates, importances, slices."""

import warnings
from typing import Any

from grpo_cli.sweep.plan import Plan
from grpo_cli.sweep.study import Study


def draw(plan: Plan, study: Study) -> list[str]:
    """Draw what can be drawn of a sweep into `plots/`.

    Returns:
        The files; none where Matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as optuna_plots

    evaluator = PedAnovaImportanceEvaluator()
    name = plan.objective
    ways: dict[str, Any] = {
        "history": lambda of: optuna_plots.plot_optimization_history(of, target_name=name),
        "parallel": lambda of: optuna_plots.plot_parallel_coordinate(of, target_name=name),
        "importances": lambda of: optuna_plots.plot_param_importances(of, evaluator=evaluator),
        "slices": lambda of: optuna_plots.plot_slice(of, target_name=name),
    }
    folder = plan.folder / "plots"
    folder.mkdir(exist_ok=True)
    files = []
    for title, way in ways.items():
        path = folder / f"{title}.png"
        with warnings.catch_warnings(action="ignore"):
            try:
                way(study.optuna_study)
            except (ValueError, RuntimeError, ZeroDivisionError):  # too few trials for this one
                pyplot.close("all")
                continue
            pyplot.savefig(path, dpi=120, bbox_inches="tight")
        pyplot.close("all")
        files.append(str(path))
    return files
