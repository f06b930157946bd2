"""`hydra.main`: one job, or those of `-m`, in this process or wherever a launcher runs them."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from grpo_cli.config.compose import Composed, composed_of
from grpo_cli.config.explain import explained
from grpo_cli.config.files import conf_dir
from grpo_cli.config.words import register, rewrite
from grpo_cli.errors import MissingPackage

Record = dict[str, Any]

LAUNCHER = "hydra/launcher="
LAUNCHERS = {"joblib": "joblib", "submitit": "submitit", "ray": "ray-launcher"}
"""Launchers and their extras; Hydra's plugins are `hydra_plugins.hydra_<name>_launcher`."""


def run(
    flags: list[str],
    words: list[str],
    job: Callable[[Composed], Record],
    dirs: Iterable[Path | str] = (),
) -> list[Record]:
    """Hand words to `hydra.main`, which calls `job` once, or once per job of a sweep.

    Records travel through files, so that a launcher may run jobs in other processes. Where such a
    process dies, most launchers give up all the others: these are begun again, and what had been
    begun is tried once more, alone.

    Args:
        flags: Hydra's own flags with their values, such as `["-m"]`.
        words: `key=value` overrides.
        job: turns a composed, unchecked configuration into a JSON-ready record; must not raise.
        dirs: the folders named by `--config-dir` among the flags.

    Returns:
        The records in the order of the jobs; empty when Hydra only showed something.

    Raises:
        ConfigError: Hydra could not compose it.
        MissingPackage: the launcher is not installed.
    """
    folders = tuple(Path(folder).absolute() for folder in dirs)
    elsewhere = _launcher(words)
    # Jobs on other computers see this folder, but not their own /tmp.
    place = Path.cwd() if elsewhere else None
    with explained(folders), tempfile.TemporaryDirectory(prefix=".grpo-", dir=place) as scratch:
        absolute = register(words, folders)
        files = Path(scratch)

        def run_jobs(only: int | None = None) -> Exception | None:
            """Run all jobs that were not begun, or only one that was; returns what broke."""

            def task(cfg: DictConfig) -> None:
                own = HydraConfig.get()
                number = 0 if OmegaConf.is_missing(own.job, "num") else own.job.num
                begun = files / f"{number:06d}.begun"
                if begun.exists() and number != only:
                    return
                composed = composed_of(cfg, own, absolute)
                begun.write_text(json.dumps(composed.overrides), encoding="utf-8")
                text = json.dumps(job(composed), default=float)
                begun.with_suffix(".json").write_text(text, encoding="utf-8")

            before = len(list(files.glob("*.begun")))
            try:
                hydra.main(str(conf_dir()), "train", version_base="1.3")(task)()
            except Exception as error:
                if not elsewhere or (only is None and len(list(files.glob("*.begun"))) == before):
                    raise
                return error
            return None

        # The basic sweeper writes multirun.yaml into its folder, whatever it is told.
        overrides = [f"hydra.sweep.dir='{scratch}'", *map(rewrite, words)]
        with _argv([sys.argv[0], *flags, *overrides]):
            while run_jobs() is not None:
                pass
            for begun in sorted(files.glob("*.begun")):
                if not begun.with_suffix(".json").exists():  # its neighbour's fault, perhaps
                    run_jobs(int(begun.stem))
        return [_record(begun) for begun in sorted(files.glob("*.begun"))]


def _launcher(words: list[str]) -> str:
    """Return the launcher that was asked for, other than Hydra's own, or an empty text."""
    named = [word.removeprefix(LAUNCHER) for word in words if word.startswith(LAUNCHER)]
    name = named[-1] if named else "basic"
    extra = name.partition("_")[0]
    if extra in LAUNCHERS and find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None:
        raise MissingPackage(
            f"the launcher {name} is not installed",
            f"pip install 'grpo-cli[{LAUNCHERS[extra]}]'",
        )
    return "" if name == "basic" else name


def _record(begun: Path) -> Record:
    """Return what came of a job; one without a record has lost its process."""
    path = begun.with_suffix(".json")
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    error = {
        "what": "the process of this job died", "fix": "was it short of memory?", "exit_code": 1,
        "traceback": "",
    }  # fmt: skip
    return {"overrides": json.loads(begun.read_text("utf-8")), "error": error}


@contextmanager
def _argv(words: list[str]) -> Iterator[None]:
    """Let Hydra's argument parser see `words`, and exceptions come out of it."""
    before = sys.argv
    sys.argv = words
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
