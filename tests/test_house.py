"""The house itself: floors, sizes, lazy imports, and YAML files equal to signatures.

The drawing and its reasons: CONTRIBUTING.md and docs/adr/0001-floors-single-modules.md.
"""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "grpo_cli"
CONF = ROOT / "conf"

FLOORS: dict[int, frozenset[str]] = {
    0: frozenset(
        "board clock errors frames gathering ranks rollout randomness sums tokens versions".split()
    ),
    1: frozenset(
        "rewards reward_functions transitions returns kl entropy distributions joint statistics"
        " advantages losses recommend".split()
    ),
    2: frozenset(
        "adam envs observations policies sinks checkpoint manifest rundir stop distributed"
        " launch".split()
    ),
    3: frozenset(
        "text groups gradient objective update minibatches reference survey learner walk evaluate"
        " video speed runs".split(),
    ),
    4: frozenset(
        "train sweep benchmark evaluate_run play plot compare inspect repro export report doctor"
        " cluster".split(),
    ),
    5: frozenset({"config"}),
    6: frozenset({"cli", "api"}),
    7: frozenset({"__main__"}),  # `python -m grpo_cli` opens the door of floor 6
}
FLOOR_OF = {unit: floor for floor, units in FLOORS.items() for unit in units}

# Only these packages may import the library named; its objects go no further.
OWNERS = {
    "hydra": {"config"},
    "omegaconf": {"config"},
    "rich": {"sinks", "cli"},
    "typer": {"cli"},
}
# A word typed wrongly is answered before any of these is loaded.
HEAVY = (
    "torch gymnasium hydra omegaconf numpy scipy tensorboard transformers ray optuna envpool mujoco"
    " ale_py onnx".split()
)
# Keyword-only, but given by the program, not by the person.
GIVEN = frozenset({"score_norm"})
MAX_LINES = 300
# docs/adr/0001-floors-single-modules.md
FLOORS_WITH_SINGLE_FILES = (0, 1, 2, 3)

KL_KEYS = frozenset("coef where reference sync_every sync_alpha target horizon".split())
POLICY_KEYS = frozenset("bounds std log_std normalise init head_gain".split())
ENTROPY_KEYS = frozenset("coef target step low high top_quantile".split())
# Config group -> the package in whose __all__ its names are looked up, and the YAML keys that are
# the builder's, not the function's.
COMPONENTS: dict[str, tuple[str, frozenset[str]]] = {
    "reward_scaling": ("grpo_cli.rewards", frozenset({"scope"})),
    "advantage": ("grpo_cli.advantages", frozenset()),
    "loss": ("grpo_cli.losses", frozenset()),
    "kl": ("grpo_cli.kl", KL_KEYS),
    "entropy": ("grpo_cli.entropy", ENTROPY_KEYS),
    "policy": ("grpo_cli.policies", POLICY_KEYS),
    "group": ("grpo_cli.groups", frozenset()),
    "reward": ("grpo_cli.reward_functions", frozenset()),
}


TEXT: dict[str, tuple[str, frozenset[str]]] = {
    "group": ("grpo_cli.text.mode", frozenset({"reward_model"})),
    "policy": ("grpo_cli.text.make", frozenset()),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    """The child of grpo_cli a file belongs to: `losses` for grpo_cli/losses/clip.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported dotted name with its line, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def own_units(path: Path) -> Iterator[tuple[int, str]]:
    """The other children of grpo_cli that a file imports."""
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "grpo_cli" and len(parts) > 1 and parts[1] in FLOOR_OF:
            yield line, parts[1]


def allowed(unit: str, other: str) -> bool:
    """Downwards, within oneself, or on one's own floor to a module that is a single file."""
    if unit == other or FLOOR_OF[other] < FLOOR_OF[unit]:
        return True
    shared = FLOOR_OF[other] == FLOOR_OF[unit] and FLOOR_OF[unit] in FLOORS_WITH_SINGLE_FILES
    return shared and not (PACKAGE / other).is_dir()


def test_every_module_has_a_floor() -> None:
    homeless = {unit_of(path) for path in modules()} - set(FLOOR_OF) - {"__init__"}
    assert not homeless, f"give these a floor in FLOORS: {sorted(homeless)}"


def test_imports_go_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {unit_of(path)} may not import {other}"
        for path in modules()
        if unit_of(path) in FLOOR_OF
        for line, other in own_units(path)
        if not allowed(unit_of(path), other)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself() -> None:
    assert allowed("train", "groups")
    assert not allowed("groups", "train")
    assert not allowed("policies", "envs")  # sideways between packages
    assert allowed("losses", "kl")  # anyone uses a single file of the same floor
    assert not allowed("kl", "losses")  # never the other way round


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in modules():
        unit = unit_of(path)
        graph.setdefault(unit, set()).update(other for _, other in own_units(path))
        graph[unit].discard(unit)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_package_root_imports_nothing_of_its_own() -> None:
    assert not [name for _, name in own_units(PACKAGE / "__init__.py")]


def test_libraries_stay_with_their_owners() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: only {sorted(OWNERS[top])} may import {top}"
        for path in modules()
        for line, name in imports(path)
        if (top := name.split(".")[0]) in OWNERS and unit_of(path) not in OWNERS[top]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    files = [*modules(), *(ROOT / "tests").rglob("*.py")]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long


def test_the_door_is_light() -> None:
    code = f"import sys, grpo_cli.cli; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def component_files() -> list[Path]:
    return [path for group in COMPONENTS for path in sorted((CONF / group).glob("*.yaml"))]


def test_every_component_group_has_files() -> None:
    assert not [group for group in COMPONENTS if not list((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize("path", component_files(), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_yaml_is_name_plus_every_parameter(path: Path) -> None:
    module, builders = COMPONENTS[path.parent.name]
    tree = yaml.safe_load(path.read_text())
    if tree["name"] == "text":  # what knows transformers is in a package of its own
        module, builders = TEXT[path.parent.name]
    home = importlib.import_module(module)
    assert tree["name"] in home.__all__
    parameters = inspect.signature(getattr(home, tree["name"])).parameters.values()
    # Data (new, batch, reward, rollout, ...) is positional; what a person sets is keyword-only.
    settings = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if (
        tree["name"] in ("episodes", "text") and path.parent.name == "group"
    ):  # the builder wraps it to look through what was sampled
        builders |= {"candidates", "selector", "drop_dead", "max_resample"}
    assert set(tree) == {"name"} | builders | (settings - GIVEN)
