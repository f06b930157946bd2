"""Pages of the site that are no files of docs/: those of the root, and the reference from the code.

A hook of MkDocs (https://www.mkdocs.org/user-guide/configuration/#hooks). Links between pages are
written for readers of the repository; here they are led to where the pages are on the site.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Page of the site -> file of the repository.
ELSEWHERE = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "benchmarks.md": "benchmarks/README.md",
    "examples.md": "examples/README.md",
}
WIDTH = 80  # columns of the help pages: what fits beside the navigation
PYTHON = """# Python

[How to use it](../api.md).

::: grpo_cli.api.model.GRPO

::: grpo_cli.api.keywords.Keywords
    options: {members: false}

::: grpo_cli.api.trainer.GRPOTrainer

::: grpo_cli.api.settings.GRPOConfig

## What your own parts are given

::: grpo_cli.rollout.Rollout
    options: {heading_level: 3}

::: grpo_cli.rollout.Batch
    options: {heading_level: 3}

::: grpo_cli.distributions.Outlook
    options: {heading_level: 3}
"""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {page: (ROOT / source).read_text() for page, source in ELSEWHERE.items()}
    pages |= {
        "decisions.md": _decisions(),
        "reference/commands.md": _commands(),
        "reference/keys.md": "\n".join(_keys()),
        "reference/presets.md": "\n".join(_presets()),
        "reference/python.md": PYTHON,
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead the links of a page to where they are on the site."""
    here = page.file.src_uri
    source = PurePosixPath(ELSEWHERE.get(here, f"docs/{here}"))

    def lead(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        found = os.path.normpath(source.parent / target)
        place = _place(found)
        if place is None:  # a file that is not part of the site
            return label if label.startswith("`") else f"`{found}`"
        return f"[{label}]({os.path.relpath(place, PurePosixPath(here).parent)}{anchor or ''})"

    return re.sub(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)", lead, markdown)


def _place(path: str) -> str | None:
    """Return the place on the site of a file of the repository."""
    for page, source in ELSEWHERE.items():
        if path == source:
            return page
    return path.removeprefix("docs/") if path.startswith("docs/") else None


def _decisions() -> str:
    rows = ["# Decisions", "", "Where the code went another way than planned, and why.", ""]
    for path in sorted((ROOT / "docs/adr").glob("*.md")):
        title = re.sub(r"^# (ADR )?\d+[.:] *", "", path.read_text().splitlines()[0])
        rows.append(f"{int(path.name[:4])}. [{title}](adr/{path.name})")
    return "\n".join(rows)


def _commands() -> str:
    """Return the help page of every verb, as it is shown."""
    from typer.testing import CliRunner

    from grpo_cli.cli import app, screen

    screen.PIPE_WIDTH = WIDTH
    runner = CliRunner()
    top = runner.invoke(app, ["--help"]).stdout
    verbs = re.findall(r"^  (\w+) ", top[top.index("Verbs") : top.index("Examples")], re.MULTILINE)
    parts = ["# Command line", "", _screen(top)]
    for verb in verbs:
        parts += [f"## grpo {verb}", "", _screen(runner.invoke(app, [verb, "--help"]).stdout)]
    return "\n".join(parts)


def _screen(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(["```text", *lines, "```", ""])


def _keys() -> Iterator[str]:
    """Explain every key of `grpo train`, group by group, then those of the other verbs."""
    from grpo_cli.config import meaning
    from grpo_cli.config.schema import COMPONENTS, EnvConf, TrainConf, everyday
    from grpo_cli.config.sentences import SENTENCES
    from grpo_cli.config.sweep_schema import SweepConf

    yield "# Keys\n\nWords of `grpo train`; `grpo config --explain KEY` says the same.\n"
    yield "## Everyday\n"
    yield from _table([*everyday(TrainConf), *(f"env.{key}" for key in everyday(EnvConf))])
    for group in (*COMPONENTS, "env"):
        own = [key for key in SENTENCES if key.startswith(f"{group}.")]
        said = meaning.explain(group)
        keys = [key for key in own if not key.endswith(".name")]
        yield f"\n## {group}\n\n{said.sentence.capitalize()}.\n"
        if said.choices:
            default = dict(said.facts).get("default", "")
            marks = {default: " (default)"}
            rows = ((f"`{group}={n}`{marks.get(n, '')}", line) for n, line in said.choices)
            yield from _rows(("choice", "what it is"), rows)
        if keys:
            yield ""
            yield from _table(keys)
    for verb, conf in {**meaning.VERBS, "sweep": SweepConf}.items():
        yield f"\n## grpo {verb}\n"
        yield from _table([f"{verb}.{key}" for key in everyday(conf)], f"{verb}.")


def _table(keys: Iterable[str], prefix: str = "") -> Iterator[str]:
    from grpo_cli.config.meaning import explain

    yield from _meanings((explain(key) for key in keys), prefix)


def _meanings(meanings: Iterable[Any], prefix: str = "") -> Iterator[str]:
    facts = [(m.key.removeprefix(prefix), m.sentence, dict(m.facts)) for m in meanings]
    rows = (
        (f"`{key}`", text, f.get("type", ""), f.get("unit", ""), f"`{f.get('default', '')}`")
        for key, text, f in facts
    )
    yield from _rows(("key", "what it is", "type", "unit", "default"), rows)


def _presets() -> Iterator[str]:
    from grpo_cli.config.meaning import explain

    yield "# Presets\n\nPublished systems. `grpo presets NAME` shows the words that one stands for;"
    yield "their settings and where they depart are in [Every variant](../algorithms.md#presets).\n"
    rows = ((f"`{name}`", line) for name, line in explain("preset").choices if name != "none")
    yield from _rows(("preset", "what it is"), rows)


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = tuple(head)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
