"""The config of a run that is already there: data, until trust is established."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import SafeLoader, YAMLError, parse
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from grpo_cli import rundir
from grpo_cli.config import trust
from grpo_cli.config.schema import TrainConf, is_own
from grpo_cli.envs import EnvSource
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.rundir import RunFolder

MakeRun = Callable[[str, str, int], RunFolder]
DEEPEST = 50  # levels of nesting in a config


def mark(text: str, cfg: DictConfig) -> dict[str, Any]:
    """Return what lets this user open a run again without being asked; kept in `meta.json`.

    Args:
        text: `config.yaml` as it is stored.
        cfg: the same, composed; what it names has been imported by now.

    Returns:
        folder: where modules of the person's own are found; sources: their files, and those named
        in the config; seal: over the config, the folder, and the sources with their content.
    """
    folder, own = str(Path.cwd()), trust.own_code(cfg)
    sources = [*trust.source_files(own), *_module_files(own)]
    return {
        "folder": folder,
        "sources": [str(path) for path in sources],
        "seal": trust.seal(_sealed(text, folder), sources),
    }


def open_config(
    run: RunFolder, *, trusted: bool, named: set[str], to_train: bool = False
) -> DictConfig:
    """Read a run's config, and decide whether the code it needs to act may be imported.

    Args:
        run: the run's folder.
        trusted: the person said `--trust`.
        named: parts that the person named on this command line.
        to_train: all of its code is to be imported, not the environment and the policy alone;
            interpolations stay as they are.

    Raises:
        CheckpointError: the config is damaged, or a stranger's and what is to be imported is code
            of its own.
    """
    text = run.read("config.yaml")
    try:
        saved = parsed(text)
        cfg = OmegaConf.merge(OmegaConf.structured(TrainConf), saved)
        resolved = copy.deepcopy(cfg)
        OmegaConf.resolve(resolved)
        cfg = cfg if to_train else resolved
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{run.path}/config.yaml is damaged: {str(error).splitlines()[0]}",
            "use another run, or a copy of this one",
        ) from error
    if not isinstance(cfg, DictConfig) or OmegaConf.is_missing(cfg.env, "id"):
        raise CheckpointError(
            f"{run.path}/config.yaml names no environment", "use another run, or a copy"
        )
    if "name" not in cfg.policy:
        raise CheckpointError(
            f"{run.path}/config.yaml names no policy", "use another run, or a copy of this one"
        )
    names = trust.own_code(cfg)
    if not to_train:
        around = trust.wrapper_names(OmegaConf.to_container(cfg.env.wrappers))
        acting = {str(cfg.env.id), str(cfg.policy.name), *around}
        names = [name for name in names if name in acting]
    _require_trust(run, text, cfg, trusted, named, names)
    return cfg


def parsed(text: str) -> DictConfig | ListConfig:
    """Parse a saved config, which may be a stranger's.

    Raises:
        ValueError: it uses aliases or is nested deeply; ours never do, and a few lines of either
            take for ever.
        YAMLError, OmegaConfBaseException, RecursionError: it is no YAML.
    """
    depth = 0
    for event in parse(text, Loader=SafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent) or depth > DEEPEST:
            raise ValueError("it uses aliases, or is nested too deeply")
    return OmegaConf.create(text)


def _require_trust(
    run: RunFolder, text: str, cfg: DictConfig, trusted: bool, named: set[str], names: list[str]
) -> None:
    """Allow the code of these names to be imported; nothing else of a run is."""
    if not names:
        return
    meta = run.read_json("meta.json")
    folder, sources = str(meta.get("folder", "")), _texts(meta.get("sources"))
    # All that the config names must be covered, so that leaving a file out proves nothing.
    listed = {str(path) for path in trust.source_files(trust.own_code(cfg))} <= set(sources)
    seal = str(meta.get("seal", ""))
    if trusted or (
        listed and trust.verify(_sealed(text, folder), [Path(file) for file in sources], seal)
    ):
        if folder:
            trust.make_importable(Path(folder))
        return
    unnamed = [name for name in names if name not in named]
    if unnamed:
        raise CheckpointError(
            f"{run.path} would import {', '.join(unnamed)}, and was not made here by you, or has "
            "changed since",
            f"look at that code, then say --trust, or name it: env={cfg.env.id}"
            if unnamed == [cfg.env.id]
            else "look at that code, then say --trust",
        )


def _sealed(text: str, folder: str) -> str:
    return f"{folder}\n{text}"


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _module_files(own: list[str]) -> list[Path]:
    """Return the files of the modules that own code came from; installed packages are left out."""
    files = []
    for name in own:
        place = name.partition(":")[0] if ":" in name else name.rpartition(".")[0]
        file = getattr(sys.modules.get(place), "__file__", None)
        if is_own(name) and file and "site-packages" not in Path(file).parts:
            files.append(Path(file).absolute())
    return files


def fill(
    make_run: MakeRun,
    cfg: DictConfig,
    words: dict[str, Any],
    source: EnvSource,
    overrides: list[str],
) -> RunFolder:
    """Make the run folder and what identifies it; a folder that cannot be filled is removed."""
    run = make_run(source.slug, words["name"], words["seed"])
    text = OmegaConf.to_yaml(cfg, resolve=False)
    meta = rundir.metadata(source.id, words["seed"])
    meta |= mark(text, cfg)
    try:
        run.write("config.yaml", text)
        run.write("overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
        run.write_json("meta.json", meta)
    except OSError as error:
        run.discard_if_empty()
        raise ConfigError(
            f"{run.path} cannot be written: {error.strerror or error}",
            "free some space, or run grpo in another folder",
        ) from error
    return run
