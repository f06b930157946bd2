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
from grpo_cli.errors import GrpoError, MissingPackage

Record = dict[str, Any]

LAUNCHER = "hydra/launcher="
LAUNCHERS = ("joblib", "submitit", "ray")
"""Extras of grpo-cli; Hydra's plugins for them are `hydra_plugins.hydra_<name>_launcher`."""
MOST_STARTS = 2
"""How often a job is begun whose process died; once it may have been its neighbour's fault."""


def run(
    flags: list[str],
    words: list[str],
    job: Callable[[Composed], Record],
    dirs: Iterable[Path | str] = (),
) -> list[Record]:
    """Hand words to `hydra.main`, which calls `job` once, or once per job of a sweep.

    Records travel through files, so that a launcher may run jobs in other processes. Where such a
    process dies, most launchers give up all the others: these are begun again.

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

        def task(cfg: DictConfig) -> None:
            own = HydraConfig.get()
            number = 0 if OmegaConf.is_missing(own.job, "num") else own.job.num
            path, begun = files / f"{number:06d}.json", files / f"{number:06d}.begun"
            composed = composed_of(cfg, own, absolute)
            starts = len(begun.read_text().splitlines()) if begun.exists() else 0
            if path.exists() or starts >= MOST_STARTS:
                return
            with begun.open("a", encoding="utf-8") as file:
                file.write(json.dumps(composed.overrides) + "\n")
            text = json.dumps(job(composed), default=float)
            path.write_text(text, encoding="utf-8")

        # The basic sweeper writes multirun.yaml into its folder, whatever it is told.
        overrides = [f"hydra.sweep.dir='{scratch}'", *map(rewrite, words)]
        with _argv([sys.argv[0], *flags, *overrides]):
            while True:
                before = _starts(files)
                try:
                    hydra.main(str(conf_dir()), "train", version_base="1.3")(task)()
                    break
                except Exception as error:
                    # A process that died leaves a job begun and without a record.
                    if isinstance(error, GrpoError) or not elsewhere or _starts(files) == before:
                        if _starts(files) == 0:
                            raise
                        break
        return [_record(begun) for begun in sorted(files.glob("*.begun"))]


def _launcher(words: list[str]) -> str:
    """Return the launcher that was asked for, other than Hydra's own, or an empty text."""
    named = [word.removeprefix(LAUNCHER) for word in words if word.startswith(LAUNCHER)]
    name = named[-1] if named else "basic"
    extra = name.partition("_")[0]
    if extra in LAUNCHERS and find_spec(f"hydra_plugins.hydra_{extra}_launcher") is None:
        raise MissingPackage(
            f"the launcher {name} is not installed", f"pip install 'grpo-cli[{extra}]'"
        )
    return "" if name == "basic" else name


def _starts(files: Path) -> int:
    return sum(len(begun.read_text().splitlines()) for begun in files.glob("*.begun"))


def _record(begun: Path) -> Record:
    """Return what came of a job; one without a record has lost its process."""
    path = begun.with_suffix(".json")
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    error = {
        "what": "the process of this job died", "fix": "was it short of memory?", "exit_code": 1,
        "traceback": "",
    }  # fmt: skip
    return {"overrides": json.loads(begun.read_text().splitlines()[0]), "error": error}


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
