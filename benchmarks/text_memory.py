"""What `policy.reduce_memory_peak` saves: peak memory of one gradient step, each in a process.

    python benchmarks/text_memory.py          # writes benchmarks/results/text-memory.json

A Qwen2 of 30 million weights with a vocabulary of 20,000, 32 completions of 64 tokens, on the CPU.
The peak is the operating system's (ru_maxrss), less what the process held before the step.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results") / "text-memory.json"
TEXTS, PROMPT, SAID, WORDS = 32, 16, 64, 20_000


def step(parts: bool) -> dict[str, float]:
    """Take one gradient step; MiB above what was held before, and seconds of processor."""
    import numpy as np
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM  # type: ignore[import-not-found]

    from grpo_cli.entropy import bonus
    from grpo_cli.gradient import gradient_of
    from grpo_cli.kl import k3
    from grpo_cli.losses import clip
    from grpo_cli.objective import Objective
    from grpo_cli.rollout import Batch
    from grpo_cli.text.conversation import Turn, tokens_of
    from grpo_cli.text.generation import Warp
    from grpo_cli.text.model import prepared
    from grpo_cli.text.policy import TextPolicy

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=WORDS, hidden_size=512, intermediate_size=1536, num_hidden_layers=6,
        num_attention_heads=8, num_key_value_heads=2, eos_token_id=1, pad_token_id=0,
        tie_word_embeddings=True,
    )  # fmt: skip
    speaker = prepared(Qwen2ForCausalLM(config), None, torch.device("cpu"), False, False, 0)
    policy = TextPolicy(
        speaker, Warp(), micro_batch=1 if parts else TEXTS, reduce_memory_peak=parts
    )
    noise = np.random.default_rng(0)
    turns = [
        Turn(i, noise.integers(2, WORDS, PROMPT).tolist(), _answer(noise), state=0, reward=0.0)
        for i in range(TEXTS)
    ]
    obs, rows = tokens_of(turns), TEXTS * SAID
    with torch.no_grad():
        policy.micro_batch, micro = 1, policy.micro_batch
        old = policy(obs)[:, 0]
        policy.micro_batch = micro
    batch = Batch(obs, torch.zeros(rows, 1), old, torch.randn(rows), torch.ones(rows), None)
    objective = Objective(lambda new, batch: clip(new, batch), k3, bonus)
    held, started = _peak(), time.process_time()
    gradient_of(policy, objective)(batch)  # type: ignore[arg-type]
    return {"mib": _peak() - held, "cpu_s": time.process_time() - started}


def _answer(noise: Any) -> Any:  # noqa: ANN401 - what is imported above
    import numpy as np

    from grpo_cli.text.generation import Answer

    said = noise.integers(2, WORDS, SAID).tolist()
    return Answer(said, np.zeros(SAID, np.float32), ended=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure both ways and write the result."""
    if len(sys.argv) > 1:
        print(json.dumps(step(sys.argv[1] == "parts")))
        return
    found = {}
    for way in ("whole", "parts"):
        done = subprocess.run(
            [sys.executable, __file__, way], capture_output=True, text=True, check=True
        )
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way}: {found[way]['mib']:,.0f} MiB, {found[way]['cpu_s']:.1f} s of processor")
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
