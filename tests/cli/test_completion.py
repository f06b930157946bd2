"""What a TAB offers, and the same in a real bash."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_files import run_folder
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.cli.complete import SCRIPTS


def offered(line):
    result = CliRunner().invoke(app, ["completion", "words", "--", line])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("grpo tr", "train "),
        ("grpo train env=Pend", "env=Pendulum-v1 "),
        ("grpo train env=ALE/Pon", "env=ALE/Pong-v5 "),
        ("grpo train gro", "group="),
        ("grpo train loss.eps_h", "loss.eps_high="),
        ("grpo train env=CartPole-v1 loss=dap", "loss=dapo "),
        ("grpo train profile=t", "profile=true "),
        ("grpo train -m preset=dapo,gsp", "preset=dapo,gspo "),
        ("grpo config kl.where=r", "kl.where=reward "),
        ("grpo eval ck", "ckpt="),
        ("grpo eval ckpt=la", "ckpt=last "),
        ("grpo export format=o", "format=onnx "),
        ("grpo runs --so", "--sort "),
        ("grpo presets rl", "rloo "),
        ("grpo completion z", "zsh "),
    ],
)
def test_words_are_offered(line, first):
    assert offered(line)[0] == first


def test_runs_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_folder(tmp_path / "runs").path.relative_to(tmp_path)
    assert offered("grpo watch r") == [f"{run} "]
    assert f"ckpt={run} " in offered("grpo eval ckpt=r")


def test_nothing_is_offered_where_nothing_fits():
    for line in ("grpo zork x", "grpo train env=zork", "grpo train lr="):
        assert offered(line) == []
    assert CliRunner().invoke(app, ["completion", "tcsh"]).exit_code == 2


def test_a_tab_loads_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner; from grpo_cli.cli import app;"
        "CliRunner().invoke(app, ['completion', 'words', '--', 'grpo train env=Pend']);"
        "print(*[m for m in ('hydra', 'numpy', 'torch', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == []


@pytest.fixture
def bash(tmp_path):
    """A real, interactive bash that knows the command; yields `f(typed) -> what it shows`."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash")
    command = tmp_path / "bin/grpo"
    command.parent.mkdir()
    root = Path(__file__).parents[2]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m grpo_cli "$@"\n')
    command.chmod(0o755)
    environment = {"PATH": f"{command.parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ "}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe(shell, [shell, "--norc", "--noprofile", "-i"], environment)

    def shown(typed, until, seconds=30.0):
        os.write(terminal, typed.encode())
        text, end = "", time.monotonic() + seconds
        while until not in text and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                text += os.read(terminal, 4096).decode(errors="replace")
        return text

    shown('eval "$(grpo completion bash)"; echo rea""dy\n', "ready")
    yield shown
    os.close(terminal)
    os.waitpid(child, 0)


def test_a_real_bash_completes_across_its_word_breaks(bash):
    assert "env=Pendulum-v1 " in bash("grpo train env=Pend\t", "Pendulum-v1 ")
    assert "preset=dapo,gspo " in bash("preset=dapo,gsp\t", "gspo ")
    assert "loss.eps_high=" in bash("loss.eps_h\t", "eps_high=")
    assert "env=pkg:" not in bash("\x15grpo presets rl\t", "rloo ")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_take_their_script(shell):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    before = "autoload -U compinit; compinit -D\n" if shell == "zsh" else ""
    done = subprocess.run([program], input=before + SCRIPTS[shell], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
