"""Writing an exported policy: one function for each format."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from grpo_cli.errors import MissingPackage
from grpo_cli.export.card import write_card
from grpo_cli.export.deployed import Deployed
from grpo_cli.policies import Policy

INSTALL = "pip install 'grpo-cli[export]'"
OPSET = 18
Found = TypeVar("Found")


@dataclass(frozen=True)
class Exported:
    """What there is to export.

    Attributes:
        policy: trained.
        deployed: the same, as one function.
        example: an input for each entry of the observation, [B, *O].
        facts: what the file says of itself, JSON-ready: env, config and more.
        run: the run's folder.
    """

    policy: Policy
    deployed: Deployed
    example: tuple[Tensor, ...]
    facts: Mapping[str, Any]
    run: Path


Write = Callable[[Exported, Path], None]


def export(what: Exported, format: str, path: Path, check: Callable[[Path], Found]) -> Found:
    """Write a policy; it appears under its name only when it has been found to do the same.

    Args:
        what: see there.
        format: a key of FORMATS.
        path: the file, or for `hub` the folder.
        check: compares what was written with the policy, and raises where they differ.

    Raises:
        MissingPackage: the format needs one.
        OSError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.partial")
    _clear(fresh)
    try:
        FORMATS[format][1](what, fresh)
        found = check(fresh)
        _clear(path)
        fresh.replace(path)
        return found
    finally:
        _clear(fresh)


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _onnx(what: Exported, path: Path) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise MissingPackage("format=onnx needs onnx and onnxscript", INSTALL) from error
    batch = torch.export.Dim("batch", min=1)
    names = what.deployed.inputs
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision; we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own business
        program = torch.onnx.export(
            what.deployed, what.example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=names, output_names=what.deployed.outputs,
            dynamic_shapes=(tuple({0: batch} for _ in names),),
        )  # fmt: skip
    model = program.model_proto  # type: ignore[union-attr]
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {"grpo": json.dumps(what.facts)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _torchscript(what: Exported, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and what many programs load
        traced = torch.jit.trace(what.deployed, what.example)
        extra = {"grpo.json": json.dumps(what.facts)}
        torch.jit.save(traced, str(path), _extra_files=extra)


def _safetensors(what: Exported, path: Path) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in what.policy.state_dict().items()}
    save_file(tensors, path, metadata={"grpo": json.dumps(what.facts)})


def _hub(what: Exported, path: Path) -> None:
    path.mkdir()
    _onnx(what, path / "policy.onnx")
    _safetensors(what, path / "policy.safetensors")
    for name in ("config.yaml", "summary.json", "report.html"):
        if (what.run / name).is_file():
            shutil.copyfile(what.run / name, path / name)
    write_card(path, what.facts, what.deployed)


# What a file of each format is called, and who writes it.
FORMATS: dict[str, tuple[str, Write]] = {
    "onnx": ("policy.onnx", _onnx),
    "torchscript": ("policy.pt", _torchscript),
    "safetensors": ("policy.safetensors", _safetensors),
    "hub": ("hub", _hub),
}
