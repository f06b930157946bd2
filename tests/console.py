"""The commands of the pages: which there are, and how a test types them in little time."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What is added to the words of a verb, so that a page takes seconds.
SHORT = {
    "train": "total_steps=200 num_groups=2 group_size=4 epochs=1 num_minibatches=1 eval.episodes=2"
    " eval.final_episodes=2 env.max_steps=20",
    "sweep": "total_steps=200 eval.episodes=2 eval.final_episodes=2 sweep.trials=2 sweep.confirm=1"
    " sweep.finalists=1",
    "eval": "episodes=2",
    "bench": "budget=1s",
}
# Words with which they do not go: the number of actions, of arms or of a window is given.
FIXED = {
    "group.actions=all": ("group_size=",),
    "preset=sb3_grpo": ("group_size=",),
    "env=grpo/DynamicBandit-v0": ("env.max_steps=", "group_size="),
    "experiment=best": ("",),
}
# Words instead of those: a run that has ended is made longer.
INSTEAD = {"resume=last": "total_steps=900 resume_changes=allow"}
# What a page takes for granted.
BEFORE = {
    "README.md": [
        "grpo train -m env=CartPole-v1 preset=dapo,gspo seed=0,1 stop_at=none",
        "grpo train env=CartPole-v1",
    ],
    "export.md": ["grpo train env=CartPole-v1"],
    "runs.md": [
        "grpo train -m env=CartPole-v1 preset=dapo,gspo seed=0,1 stop_at=none",
        "grpo train -m env=CartPole-v1 lr=0.01,0.002 seed=0,1",
    ],
}
# Commands, or parts of them, that no test types, and why.
NOT_TYPED = {
    "git clone": "it is what the first line of .ci/run does",
    ". .venv": "the test has an environment",
    "pip-audit": "asks the network",
    "pip install pip-audit": "asks the network",
    "grpo tensorboard": "serves until Ctrl-C: sinks/test_tensorboard_browser.py",
    "cluster=": "needs a cluster, or Ray's own: tests/cluster",
    "wandb": "sinks/test_trackers.py",
    "mlflow": "sinks/test_trackers.py",
    "postgresql://": "needs a server: sweep/test_postgresql.py",
    "./my_": "your own files: docs/own.md has some",
    "policy.model": "needs transformers and a model: tests/text",
    "make_model.py": "needs transformers: tests/text",
}


@dataclass(frozen=True)
class Line:
    """One command of a page.

    Attributes:
        page: the file's name.
        command: as it is typed, without a comment behind it.
        block: it stands in a console block, not in a sentence.
    """

    page: str
    command: str
    block: bool


def lines(page: Path) -> list[Line]:
    """Return a page's commands in their order; those in sentences only where they are ours."""
    text = page.read_text()
    found: list[tuple[int, str, bool]] = []
    for block in re.finditer(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        body = block[1].replace("\\\n", " ")
        for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
            found.append((block.start(), command.partition("  #")[0].strip(), True))
    for span in re.finditer(r"(?<!`)`(grpo [^`\n]+)`", text):
        if "VERB" not in span[1] and "NAME" not in span[1]:
            found.append((span.start(), span[1], False))
    found.sort(key=lambda each: each[0])
    return [Line(page.name, command, block) for _, command, block in found]


def why_not(command: str) -> str:
    """Say why a test does not type a command; nothing if it does."""
    return next((why for part, why in NOT_TYPED.items() if part in command), "")


def shortened(command: str) -> str:
    """Add the words that make a command short."""
    verb = re.search(r"\b(?:grpo|grpo_cli) (\w+)", command)
    words = SHORT.get(verb[1], "").split() if verb else []
    words = next((more.split() for part, more in INSTEAD.items() if part in command), words)
    given = [word.partition("=")[0] for word in command.split()]
    barred = [start for part, starts in FIXED.items() if part in command for start in starts]
    kept = [
        word
        for word in words
        if not word.startswith(tuple(barred) or ("=",))
        and (word.startswith("total_steps") or word.partition("=")[0] not in given)
    ]
    if any(word.startswith("total_steps") for word in kept):
        command = re.sub(r" total_steps=\S+", "", command)
    return " ".join([command, *kept])


def extras() -> set[str]:
    """Return the names of the package's extras."""
    return set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )


def targets() -> set[str]:
    """Return the names of the Makefile's targets."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def in_terminal(command: str) -> str:
    """Put a command that draws into a terminal of its own."""
    draws = command.startswith("grpo play") and "out=" not in command
    return f"script -qec {shlex.quote(command)} /dev/null" if draws else command


def check_other(command: str) -> None:
    """Check a command that is not ours to run: make, pip, python of a file."""
    first, *words = shlex.split(command)
    if first == "make":
        assert {word for word in words if "=" not in word} <= targets(), command
    if first == "pip":
        assert set(re.findall(r"grpo-cli\[(\w[\w-]*)\]", command)) <= extras(), command
    if first == "python" and words[0].endswith((".py", "duel")):
        assert (ROOT / words[0]).exists(), command
