"""A small language model for trying things out: nothing is downloaded.

    python examples/text/make_model.py arithmetic models/arithmetic
    grpo train preset=agilerl env=text/arithmetic policy.model=models/arithmetic

Makes a tokenizer of single characters and a Qwen2 of 1.2 million weights, teaches it the task's
format by showing it right answers, and stops while it is still mediocre: the rest is for
reinforcement learning. What it saves is an ordinary folder of Hugging Face.
"""

import argparse
import string
import time

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from grpo_cli.randomness import Use
from grpo_cli.text.blackjack import Blackjack
from grpo_cli.text.tasks import Arithmetic, Copy, Countdown

PAD, EOS = "<pad>", "<eos>"
CHARACTERS = string.ascii_lowercase + string.digits + " +-*/()=:>.?,\n"
BATCH = 128


def make_tokenizer():
    """One token for each character."""
    words = {token: i for i, token in enumerate([PAD, EOS, *CHARACTERS])}
    inner = Tokenizer(models.WordLevel(words, unk_token=PAD))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, eos_token=EOS, unk_token=PAD
    )


def make_model(tokenizer, size=160, layers=4):
    """An untrained Qwen2."""
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=size,
            intermediate_size=3 * size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


def expression(problem, generator):
    """Some expression of a countdown's numbers: the format, seldom the answer."""
    numbers = generator.permutation(problem.columns["numbers"]).tolist()
    signs = generator.choice(list("+-*"), size=len(numbers) - 1)
    return str(numbers[0]) + "".join(f"{s}{n}" for s, n in zip(signs, numbers[1:], strict=True))


def example(task, generator, use):
    """A prompt and what to answer, as texts; the prompts of evaluation are others."""
    seed = int(generator.integers(2**29)) * 4 + use
    if isinstance(task, Blackjack):
        return task.reset(seed=seed)[0], str(generator.choice(["hit", "stick"]))
    problem = task.problem(seed)
    if isinstance(task, Countdown):
        return problem.prompt, expression(problem, generator)
    return problem.prompt, problem.columns["answer"]


def batch(tokenizer, examples):
    """Ids, and labels in which only answers count."""
    rows = [(tokenizer(p)["input_ids"], tokenizer(a + EOS)["input_ids"]) for p, a in examples]
    longest = max(len(p) + len(a) for p, a in rows)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels = torch.full((len(rows), longest), -100)
    for i, (p, a) in enumerate(rows):
        ids[i, : len(p) + len(a)] = torch.tensor(p + a)
        labels[i, len(p) : len(p) + len(a)] = torch.tensor(a)
    return ids, labels


@torch.no_grad()
def share_right(model, tokenizer, task, number=200):
    """Greedy exact match on prompts that are held out."""
    generator = np.random.default_rng(1)
    ids, labels = batch(tokenizer, [example(task, generator, Use.FINAL) for _ in range(number)])
    said = (
        model(ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits[:, :-1].argmax(-1)
    )
    wanted = labels[:, 1:]
    return float(((said == wanted) | (wanted == -100)).all(dim=1).float().mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["arithmetic", "copy", "countdown", "blackjack"])
    parser.add_argument("out", help="folder to be written")
    parser.add_argument("--until", type=float, default=0.4, help="share of right answers, greedy")
    parser.add_argument(
        "--seconds", type=float, default=300, help="at most so many, of this processor"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digits", type=int, default=2)
    parser.add_argument("--size", type=int, default=160, help="width of the model")
    parser.add_argument("--layers", type=int, default=4)
    words = parser.parse_args()
    torch.manual_seed(words.seed)
    torch.set_num_threads(1)
    task = {
        "arithmetic": lambda: Arithmetic(words.digits),
        "copy": Copy,
        "countdown": Countdown,
        "blackjack": Blackjack,
    }[words.task]()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, words.size, words.layers)
    print(f"{sum(p.numel() for p in model.parameters()):,} weights")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    generator = np.random.default_rng(words.seed)
    started = time.process_time()
    judged = words.task in ("arithmetic", "copy")  # the others are taught the format alone
    for step in range(1 if judged else 0, 100_000 if judged else 300):
        ids, labels = batch(tokenizer, [example(task, generator, Use.TRAIN) for _ in range(BATCH)])
        mask = (ids != tokenizer.pad_token_id).long()
        loss = model(ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if judged and step % 20 == 0:
            right, spent = share_right(model, tokenizer, task), time.process_time() - started
            if step % 100 == 0:
                print(f"step {step}  loss {loss.item():.3f}  right {right:.0%}  {spent:.0f} s")
            if right >= words.until or spent > words.seconds:
                break
    if judged:
        print(f"stopped after {step} steps at {right:.0%} of held-out answers")
    model.save_pretrained(words.out)
    tokenizer.save_pretrained(words.out)
    print(f"saved in {words.out}")


if __name__ == "__main__":
    main()
