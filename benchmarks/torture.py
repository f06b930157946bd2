"""Hurt training on purpose and count what is lost; writes docs/reliability.md between its marks.

    python benchmarks/torture.py                # all of it, about half an hour (make torture)
    python benchmarks/torture.py --short        # a minute

Real processes are killed, real bytes are flipped, real disks run full. Every run that was hurt is
gone on with, and compared bit for bit with a run that was left alone.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from grpo_cli import checkpoint, manifest, rundir
from grpo_cli.errors import CheckpointError

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
MARKS = "<!-- measured by make torture -->", "<!-- end -->"
# Many small updates and a save after each: a good part of the time is spent saving.
WORDS = (
    "env=CartPole-v1 stop_at=none group_size=4 num_groups=2 epochs=2 policy.hidden=[32] "
    "eval_every=3000 eval.episodes=2 eval.final_episodes=2 save_every=1 checkpoint.keep=3"
).split()
GRPO = [sys.executable, "-m", "grpo_cli"]


def train(*words: str, home: Path) -> "subprocess.Popen[str]":
    """Start a real trainer."""
    return subprocess.Popen(
        [*GRPO, "train", "--quiet", *words],
        cwd=home, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(home)},
    )  # fmt: skip


def finished(process: "subprocess.Popen[str]") -> int:
    """Wait for a trainer; returns its exit code."""
    process.communicate()
    return process.returncode


def only_run(home: Path, name: str) -> Path:
    """Return the run of this name."""
    [run] = (home / "runs").glob(f"*/{name}-*")
    return run


def outcome(run: Path) -> tuple[object, ...]:
    """Return what has to be equal: weights, optimizer, metrics."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    last = run / "checkpoints" / "last"
    return (
        kept,
        (last / "policy.safetensors").read_bytes(),
        (last / "state.safetensors").read_bytes(),
    )


def kills(home: Path, number: signal.Signals, times: int, steps: int, words: list[str]) -> str:
    """Send a signal at random moments until so many have hit; compare the run with one alone."""
    chance = random.Random(number)
    size = [*WORDS, f"total_steps={steps}", *words]
    alone = train(*size, "name=alone", home=home)
    assert finished(alone) == 0
    hits = lost = saving = unequal = runs = 0
    while hits < times:
        name = f"hurt{runs}"
        process = train(*size, f"name={name}", "resume=auto", home=home)
        while True:
            if hits < times:
                _wait_for_progress(home, name, process)
                time.sleep(chance.uniform(0, 0.6))
                process.send_signal(number)
            code = finished(process)
            if code == 0:
                break
            hits += 1
            run = only_run(home, name)
            saving += bool(list((run / "checkpoints").glob(".p*")))
            lost += _newest_is_damaged(run)
            process = train(*size, f"name={name}", "resume=auto", home=home)
        runs += 1
        unequal += outcome(only_run(home, name)) != outcome(only_run(home, "alone"))
        shutil.rmtree(only_run(home, name))
    shutil.rmtree(only_run(home, "alone"))
    what = f"{number.name} at a random moment, {' '.join(words) or 'defaults'}"
    during = f", {saving} of them during a save" if number == signal.SIGKILL else ""
    return _row(what, f"{hits} times in {runs} runs{during}", f"{lost} damaged, {unequal} unequal")


def _wait_for_progress(home: Path, name: str, process: "subprocess.Popen[str]") -> None:
    """Wait until a checkpoint is newer than this moment, or the process ends."""
    start = time.time()
    while process.poll() is None:
        if any(path.stat().st_mtime > start for path in _checkpoints(home, name)):
            return
        time.sleep(0.01)


def _checkpoints(home: Path, name: str) -> Iterator[Path]:
    for run in (home / "runs").glob(f"*/{name}-*"):
        for path in manifest.saved(run / "checkpoints"):
            if path.exists():  # it may just have been pruned
                yield path


def _newest_is_damaged(run: Path) -> bool:
    try:
        checkpoint.load(manifest.saved(run / "checkpoints")[-1])
    except CheckpointError:
        return True
    return False


def _one_checkpoint(home: Path, name: str) -> Path:
    assert finished(train(*WORDS, "total_steps=500", f"name={name}", home=home)) == 0
    return manifest.saved(only_run(home, name) / "checkpoints")[-1]


def flips(home: Path, large: int) -> str:
    """Flip a bit at every byte of the small files, and at random bytes of the large."""
    path, chance = _one_checkpoint(home, "flips"), random.Random(0)
    tried = found = 0
    for file in sorted(path.iterdir()):
        good = file.read_bytes()
        every = file.suffix == ".json"
        places = range(len(good)) if every else chance.sample(range(len(good)), large)
        for place in places:
            bad = bytearray(good)
            bad[place] ^= 1 << chance.randrange(8)
            file.write_bytes(bad)
            tried += 1
            found += _refused(path)
        file.write_bytes(good)
    return _row("one bit flipped in a checkpoint", f"{tried} places", f"{found} of {tried} found")


def cuts(home: Path, most: int) -> str:
    """Truncate every file of a checkpoint at so many lengths, and remove it."""
    path = _one_checkpoint(home, "cuts")
    tried = found = 0
    for file in sorted(path.iterdir()):
        good = file.read_bytes()
        for size in range(0, len(good), max(1, len(good) // most)):
            file.write_bytes(good[:size])
            tried += 1
            found += _refused(path)
        file.unlink()
        tried, found = tried + 1, found + _refused(path)
        file.write_bytes(good)
    assert not _refused(path)
    return _row("a file truncated or missing", f"{tried} cases", f"{found} of {tried} found")


def _refused(path: Path) -> bool:
    try:
        checkpoint.load(path)
    except CheckpointError:
        return True
    return False


def full_disk(home: Path) -> str:
    """Let no file grow beyond a limit: metrics, events, checkpoints fail one after the other."""
    lines = []
    for limit in (8_000, 30_000):
        code = (
            f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, -1))\n"
            "from grpo_cli.cli import main; main()"
        )
        words = [*WORDS, "total_steps=6000", f"name=full{limit}"]
        if limit == 8_000:
            words.append("policy.hidden=[64,64]")  # no checkpoint fits
        done = subprocess.run(
            [sys.executable, "-c", code, "train", "--quiet", *words],
            cwd=home, capture_output=True, text=True,
            env={**os.environ, "XDG_STATE_HOME": str(home)},
        )  # fmt: skip
        run = only_run(home, f"full{limit}")
        whole = [path for path in manifest.saved(run / "checkpoints") if not _refused(path)]
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        tracebacks = done.stderr.count("Traceback")
        lines.append(
            _row(
                f"no file larger than {limit:,} bytes",
                "whole run",
                f"exit {done.returncode}, {len(whole)} whole checkpoints, {tracebacks} tracebacks",
            )
        )
    return "\n".join(lines)


def words_at_random(count: int) -> str:
    """Throw random words at `grpo config`; it has to show a config, or say one clean error."""
    from hypothesis import HealthCheck, given, settings
    from odd_words import random_words
    from typer.testing import CliRunner

    from grpo_cli.cli import app

    codes: dict[int, int] = {0: 0, 2: 0}

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip
    @given(random_words())
    def throw(words: list[str]) -> None:
        done = CliRunner().invoke(app, ["config", *words])
        clean = done.stderr.startswith("error: ") and "internal" not in done.stderr
        assert done.exit_code == 0 or (done.exit_code == 2 and clean), (words, done.stderr)
        codes[done.exit_code] += 1

    throw()
    total = sum(codes.values())
    return _row(
        "random words behind `grpo config`", f"{total:,}",
        f"{codes[0]:,} configs, {codes[2]:,} clean errors, 0 tracebacks",
    )  # fmt: skip


def _row(*cells: str) -> str:
    print(" | ".join(cells), flush=True)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and write the table into the page."""
    parser = argparse.ArgumentParser(description="Hurt training on purpose.")
    parser.add_argument("--short", action="store_true", help="a minute; writes nothing")
    short = parser.parse_args().short
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="grpo-torture-") as folder:
        home = Path(folder)
        continuous = ["env=Pendulum-v1", "backend=sync", "env.max_steps=40"]
        steps = 4000 if short else 30_000
        rows = [
            flips(home, 20 if short else 1000),
            cuts(home, 20 if short else 1000),
            full_disk(home),
            words_at_random(50 if short else 1000),
            kills(home, signal.SIGKILL, 3 if short else 100, steps, []),
        ]
        if not short:
            rows += [
                kills(home, signal.SIGTERM, 20, steps, []),
                kills(home, signal.SIGINT, 10, steps, continuous),
            ]
    if short:
        return
    versions = ", ".join(f"{name} {number}" for name, number in rundir.versions().items())
    head = f"{time.strftime('%Y-%m-%d')}, {versions}, {(time.time() - started) / 60:.0f} minutes."
    table = "\n".join([head, "", "| what | how often | result |", "|---|---|---|", *rows])
    before, rest = PAGE.read_text().split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


if __name__ == "__main__":
    main()
