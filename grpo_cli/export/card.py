"""The model card of the Hugging Face Hub: what was trained, how well it does, how to run it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gymnasium import spaces

from grpo_cli.export.deployed import ACTION, Deployed

# Its YAML head: https://huggingface.co/docs/hub/model-cards#model-card-metadata
CARD = """---
library_name: grpo-cli
tags:
- reinforcement-learning
- deep-reinforcement-learning
- grpo
- onnx
- {env_tag}
{index}---

# {env}, trained by group relative policy optimization

A policy for `{env}`, trained by `grpo` (grpo-cli) without a value network: several attempts
are made at the same problem, and what each did better than its peers is reinforced.

{scores}

## Use

`policy.onnx` takes the environment's observations and returns its actions; normalisation and action
scaling are inside.

```python
import gymnasium as gym
import numpy as np
import onnxruntime
{imported}
session = onnxruntime.InferenceSession("policy.onnx")
env = {make}
obs, _ = env.reset(seed=0)
{start}for _ in range(10_000):
    given = {given}
    {said} = session.run({names}, given)
    obs, reward, terminated, truncated, _ = env.step({action})
    if terminated or truncated:
        break
```

`grpo eval ckpt=policy.onnx` scores it. `config.yaml` is what it was trained with, `report.html` how
that went.

## Training

```
grpo train {words}
```

Made with {versions}.
"""


def write_card(folder: Path, facts: Mapping[str, Any], deployed: Deployed) -> None:
    """Write README.md into a folder; `facts` are those of the exported file."""
    scores = facts.get("eval") or {}
    file, is_file, own = facts["env"].rpartition(".py:")
    env = f"{Path(file).name}.py:{own}" if is_file else facts["env"]
    lines = ["| mode | episodes | mean return | 95 % interval |", "|---|---|---|---|"]
    for mode, score in scores.items():
        ends = f"{score['ci_low']:.1f} to {score['ci_high']:.1f}"
        lines.append(f"| {mode} | {score['episodes']} | {score['mean']:.1f} | {ends} |")
    text = CARD.format(
        env=env,
        env_tag=json.dumps(env),
        imported=f"\nfrom {Path(file).name} import {own}\n" if is_file else "",
        make=f"{own}()" if is_file else f"gym.make({env!r})",
        index=_index(env, scores) if scores else "",
        scores="\n".join(lines)
        if scores
        else "It is not the policy at the end of a training, whose score is known.",
        words=" ".join(facts.get("words") or [f"env={env}"]),
        **_use(deployed),
        versions=", ".join(f"{n} {v}" for n, v in (facts.get("versions") or {}).items()),
    )
    (folder / "README.md").write_text(text)


def _use(deployed: Deployed) -> dict[str, str]:
    """Return what differs in a loop that acts with the file."""
    columns = {
        name: f"np.asarray({_entry(deployed.observation_space, name)})[None]"
        for name in deployed.inputs
    }
    names = [name for name in deployed.outputs if name != "params"]
    said = {name: re.sub(r"\W", "_", name) for name in names}
    start = ""
    if deployed.remembers:
        columns["memory"] = said["memory_after"] = "memory"
        start = f"memory = np.zeros((1, {deployed.memory_size}), np.float32)\n"
    given = ", ".join(f'"{name}": {value}' for name, value in columns.items())
    return {
        "start": start,
        "given": f"{{{given}}}",
        "said": ", ".join(said.values()) + "," * (len(said) == 1),
        "names": json.dumps(names),
        "action": _whole(deployed.action_space, ACTION),
    }


def _entry(space: spaces.Space, path: str) -> str:
    """Return how an entry of an observation is reached."""
    nested = isinstance(space, spaces.Dict | spaces.Tuple)
    keys = path.split(".") if nested else []
    return "obs" + "".join(f"[{key}]" if key.isdigit() else f'["{key}"]' for key in keys)


def _whole(space: spaces.Space, name: str) -> str:
    """Return how an action is put together."""
    if isinstance(space, spaces.Dict):
        parts = (f'"{k}": {_whole(part, f"{name}_{k}")}' for k, part in space.spaces.items())
        return f"{{{', '.join(parts)}}}"
    if isinstance(space, spaces.Tuple):
        parts = (_whole(part, f"{name}_{k}") for k, part in enumerate(space.spaces))
        return f"({', '.join(parts)},)"
    return f"{name}[0]"


def _index(env: str, scores: Mapping[str, Any]) -> str:
    """Return the results as the Hub lists them."""
    score = scores.get("greedy") or next(iter(scores.values()))
    name = json.dumps(env)
    value = json.dumps(f"{score['mean']:.2f} +/- {score['std']:.2f}")
    return (
        f"model-index:\n- name: grpo\n  results:\n  - task:\n      type: reinforcement-learning\n"
        "      name: reinforcement-learning\n    dataset:\n"
        f"      name: {name}\n      type: {name}\n"
        f"    metrics:\n    - type: mean_reward\n      value: {value}\n      name: mean_reward\n"
        "      verified: false\n"
    )
