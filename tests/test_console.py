"""The console blocks of README and docs are typed, page by page, with little to compute."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import BEFORE, PAGES, check_other, in_terminal, lines, shortened, why_not

TYPED = [page for page in PAGES if any(line.block for line in lines(page))]
OTHER = ("make", "pip", "python")


def to_type(page):
    """The blocks of a page; of the README the examples of its table as well."""
    readme = page.name == "README.md"
    return [
        line.command for line in lines(page) if line.block or (readme and " " in line.command[5:])
    ]


def test_commands_stand_in_console_blocks():
    for page in PAGES:
        if page.name != "LOG.md":
            assert not re.findall(r"^    (?:grpo|make|pip) .*", page.read_text(), re.MULTILINE), (
                page
            )


def test_what_is_not_typed_is_there():
    """Every reason is still needed."""
    from console import NOT_TYPED

    commands = [command for page in TYPED for command in to_type(page)]
    assert [part for part in NOT_TYPED if not any(part in command for command in commands)] == []


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.name)
def test_make_pip_and_scripts_of_the_pages_exist(page):
    for command in to_type(page):
        if command.startswith(OTHER):
            check_other(command)


@pytest.mark.slow
@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.name)
def test_blocks_of_a_page_run_one_after_the_other(page, tmp_path):
    code = re.findall(r'^```python title="(\S+)"\n(.*?)^```', page.read_text(), re.M | re.S)
    for name, text in code:
        (tmp_path / name).write_text(text)
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    env.pop("PYTEST_CURRENT_TEST", None)
    for command in [*BEFORE.get(page.name, []), *to_type(page)]:
        if why_not(command) or command.startswith(OTHER):
            continue
        typed = in_terminal(shortened(command))
        done = subprocess.run(
            ["bash", "-c", typed], cwd=tmp_path, env=env, capture_output=True, text=True,
            timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{typed}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
