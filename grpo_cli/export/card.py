"""The model card of the Hugging Face Hub: what was trained, how well it does, how to run it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

A policy for `{env}`, trained by `grpo` (grpo-cli) without a value network: several episodes start
from the same state, and what each did better than its peers is reinforced.

{scores}

## Use

`policy.onnx` takes the environment's observations and returns its actions; normalisation and action
scaling are inside.

```python
import gymnasium as gym
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("policy.onnx")
env = gym.make({env!r})
obs, _ = env.reset(seed=0)
ended = False
while not ended:
    action = session.run(["action"], {{"obs": np.asarray(obs)[None]}})[0][0]
    obs, reward, terminated, truncated, _ = env.step(action)
    ended = terminated or truncated
```

`grpo eval ckpt=policy.onnx` scores it. `config.yaml` is what it was trained with, `report.html` how
that went.

## Training

```
grpo train {words}
```

Made with {versions}.
"""


def write_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write README.md into a folder; `facts` are those of the exported file."""
    scores = facts.get("eval") or {}
    lines = ["| mode | episodes | mean return | 95 % interval |", "|---|---|---|---|"]
    for mode, score in scores.items():
        ends = f"{score['ci_low']:.1f} to {score['ci_high']:.1f}"
        lines.append(f"| {mode} | {score['episodes']} | {score['mean']:.1f} | {ends} |")
    text = CARD.format(
        env=facts["env"],
        env_tag=json.dumps(facts["env"]),
        index=_index(facts["env"], scores) if scores else "",
        scores="\n".join(lines)
        if scores
        else "It was not trained to its end, and has no final score.",
        words=" ".join(facts.get("words") or [f"env={facts['env']}"]),
        versions=", ".join(f"{n} {v}" for n, v in (facts.get("versions") or {}).items()),
    )
    (folder / "README.md").write_text(text)


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
