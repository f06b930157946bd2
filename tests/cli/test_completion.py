"""What a TAB offers, and the same in a real bash."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from run_files import run_folder
from typer.testing import CliRunner

from grpo_cli.cli import app


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
        ("grpo sweep sweep.tr", "sweep.trials="),
        ("grpo sweep sweep.sampler=g", "sweep.sampler=gp "),
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
def path(tmp_path):
    """A PATH on which there is a `grpo` of this tree."""
    command = tmp_path / "bin/grpo"
    command.parent.mkdir()
    root = Path(__file__).parents[2]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m grpo_cli "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


@contextmanager
def typing(folder, path, shell, *words):
    """A real, interactive shell; yields `f(typed, until) -> what it shows`."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(program, [program, *words, "-i"], {"PATH": path, "TERM": "dumb", "PS1": "$ "})

    def shown(typed, until, seconds=30.0):
        os.write(terminal, typed.encode())
        text, end = "", time.monotonic() + seconds
        while until not in text and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                text += os.read(terminal, 4096).decode(errors="replace")
        return text

    try:
        yield shown
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def test_a_real_bash_completes_across_its_word_breaks(tmp_path, path):
    with typing(tmp_path, path, "bash", "--norc", "--noprofile") as shown:
        shown('eval "$(grpo completion bash)"; echo rea""dy\n', "ready")
        assert "env=Pendulum-v1 " in shown("grpo train env=Pend\t", "Pendulum-v1 ")
        assert "preset=dapo,gspo " in shown("preset=dapo,gsp\t", "gspo ")
        assert "loss.eps_high=" in shown("loss.eps_h\t", "eps_high=")


def test_a_real_zsh_completes(tmp_path, path):
    with typing(tmp_path, path, "zsh", "-f") as shown:
        start = 'autoload -U compinit; compinit -D; eval "$(grpo completion zsh)"'
        shown(f'{start}; echo rea""dy\n', "ready")
        assert "env=Pendulum-v1 " in shown("grpo train env=Pend\t", "Pendulum-v1 ")


def test_a_real_fish_completes(path):
    program = shutil.which("fish")
    if program is None:
        pytest.skip("no fish")
    words = 'grpo completion fish | source; complete -C "grpo train env=Pend"'
    done = subprocess.run(
        [program, "--no-config", "-c", words], capture_output=True, text=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.stdout.split() == ["env=Pendulum-v1"], done.stderr
