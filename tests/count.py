"""What one update costs, in numbers that are the same on every run: nothing here is timed.

    python tests/count.py            # the table
    python tests/count.py --write    # renew tests/counts.json, to be committed with the change

Episodes have a fixed length in all of them, so that no rounding can change what is counted.
"""

import gc
import json
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import grpo_cli
from grpo_cli.config import build
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.compose import compose
from grpo_cli.rollout import Rollout
from grpo_cli.sinks.view import View
from grpo_cli.train import Parts, train

FILE = Path(__file__).with_name("counts.json")
OURS = str(Path(grpo_cli.__file__).parent)
CONFIGS = {
    # No pole falls within 8 steps.
    # There all members get the same return, so steps are compared with those of other times.
    "feed-forward": "env=CartPole-v1 env.max_steps=8 backend=native num_groups=4 group_size=4 "
    "epochs=2 num_minibatches=4 advantage.key=batch advantage.fallback=[]",
    "continuous": "env=Pendulum-v1 env.max_steps=20 backend=sync advantage=linear num_groups=3 "
    "group_size=4 epochs=2 num_minibatches=2 kl.coef=0.1",
    "pixels": "env=grpo/Catch-v0 backend=sync num_groups=2 group_size=3 epochs=1 num_minibatches=2",
    "recurrent": "env=Pendulum-v1 env.max_steps=10 backend=sync policy=recurrent num_groups=2 "
    "group_size=4 epochs=2 num_minibatches=2 loss=gspo",
}
UPDATES = 3  # the first warms up, the second is counted, and the third has to be the same
# What the host waits for where tensors are on a device: numbers, and shapes that follow from them.
WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "unique_consecutive", "_unique2",
    "unique_dim", "equal", "repeat_interleave",
}  # fmt: skip
FETCHES = {"cpu", "tolist"}  # methods of tensors that bring all of it to the host
HIDDEN = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")  # frames in some Pythons only


class Dispatched(TorchDispatchMode):
    """Counts operations, those of them that wait for a device, and the bytes they allocate."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = _storages((args, kwargs))
        out = func(*args, **(kwargs or {}))
        self._counts["torch operations"] += 1
        self._counts["host synchronisations"] += _waits(func.overloadpacket.__name__, args)
        fresh = _storages(out)
        self._counts["bytes of tensors"] += sum(fresh[key] for key in fresh.keys() - given.keys())
        return out


def _waits(name: str, args: Any) -> bool:
    if name not in ("index", "index_put", "index_put_"):
        return name in WAITS
    return any(isinstance(by, torch.Tensor) and by.dtype == torch.bool for by in args[1])


def _storages(tree: Any) -> dict[int, int]:
    """Address and bytes of every tensor's storage."""
    if isinstance(tree, torch.Tensor):
        storage = tree.untyped_storage()
        return {storage.data_ptr(): storage.nbytes()}
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return {}
    return {key: size for entry in tree for key, size in _storages(entry).items()}


class Meter:
    """Counts while a training runs; a sink that is told of every update.

    Args:
        built: the parts that are looked at.
    """

    def __init__(self, built: Built) -> None:
        self.counts: Counter[str] = Counter()
        self.updates: list[dict[str, int]] = []
        self._steps = type(built.backend).step.__code__

    def _call(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code.co_filename.startswith(OURS) and code.co_name not in HIDDEN:
                self.counts["Python calls"] += 1
                self.counts["backend steps"] += code is self._steps
        elif event == "c_call" and getattr(arg, "__name__", "") in FETCHES:
            self.counts["host synchronisations"] += isinstance(arg.__self__, torch.Tensor)

    def __enter__(self) -> "Meter":
        gc.collect()
        gc.disable()  # what it calls when it looks is nobody's cost
        self._mode = Dispatched(self.counts)
        self._mode.__enter__()
        sys.setprofile(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        self._mode.__exit__(*error)
        gc.enable()

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """Note what the update took that has just ended."""
        self.updates.append(dict(self.counts))
        self.counts.clear()

    def close(self) -> None:
        """Nothing is open."""


def count(*words: str) -> dict[str, int]:
    """Train for a few updates, and return what one of them took.

    Raises:
        AssertionError: two of them took something else.
    """
    built = build_all(build.plain(compose(["seed=0", "device=cpu", *words])), View(quiet=True))
    meter = Meter(built)

    def score(rollout: Rollout) -> Any:
        meter.counts["bytes of a rollout"] += sum(map(_bytes, vars(rollout).values()))
        return built.score(rollout)

    parts = Parts(
        policy=built.policy, sampler=built.sampler, score=score, learn=built.learner, judge=None,
        save=lambda *_: None, sinks=[meter], warn=print,
    )  # fmt: skip
    threads = torch.get_num_threads()
    try:
        with meter:
            one = built.sampler.sample(built.policy, 0).sim_steps
            meter.counts.clear()
            train(
                parts, total_steps=UPDATES * one, stop_at=None, eval_every=10**9, save_every=10**9
            )
    finally:
        torch.set_num_threads(threads)
        built.backend.close()
    _, second, third = meter.updates
    assert second == third, f"not the same every time: {second} and {third}"
    return second


def _bytes(field: Any) -> int:
    if isinstance(field, dict):
        return sum(map(_bytes, field.values()))
    return field.nbytes if isinstance(field, (np.ndarray, torch.Tensor)) else 0


def counted() -> dict[str, Any]:
    """Return what the configurations take, and the version of torch it was counted with."""
    found = {name: dict(sorted(count(*words.split()).items())) for name, words in CONFIGS.items()}
    return {"torch": version("torch").partition("+")[0], **found}


def table(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """Return the lines in which the two differ."""
    rows = [
        (name, what, expected.get(name, {}).get(what, 0), found[name].get(what, 0))
        for name in CONFIGS
        for what in sorted(found[name] | expected.get(name, {}))
    ]
    lines = [f"{'':14}{'':24}{'expected':>12}{'found':>12}"]
    lines += [f"{n:14}{w:24}{e:12,}{f:12,}" for n, w, e, f in rows if e != f]
    return "\n".join([*lines, "renew with: python tests/count.py --write, and commit the file"])


if __name__ == "__main__":
    now = counted()
    if "--write" in sys.argv:
        FILE.write_text(json.dumps(now, indent=2) + "\n")
    print(table({}, now).rpartition("\n")[0])
