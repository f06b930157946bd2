"""Language models from the command line's jobs: train, go on, score, play, save, load elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from text.speakers import tokenizer, untrained

from grpo_cli import rundir
from grpo_cli.config.asks import ExportConf, PlayConf
from grpo_cli.config.compose import compose
from grpo_cli.config.exporting import export_job
from grpo_cli.config.jobs import eval_job, train_job
from grpo_cli.config.playing import play_job
from grpo_cli.config.resume import named_run
from grpo_cli.config.schema import EvalConf
from grpo_cli.errors import ConfigError
from grpo_cli.sinks.view import View

pytestmark = [pytest.mark.text, pytest.mark.filterwarnings("ignore::FutureWarning")]

QUIET = View(quiet=True)
REWARDS = """
def digits(prompts, completions, **columns):
    return [sum(c.isdigit() for c in text) / 6 for text in completions]

def short(completions, kind, **columns):
    return [None if k == "free" else -len(c) / 6 for c, k in zip(completions, kind)]
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    untrained().save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "judges.py").write_text(REWARDS)
    return tmp_path / "model"


def words(*more, env="text/copy"):
    return [
        f"env={env}", "preset=agilerl", "policy.model=model", "num_groups=2", "group_size=4",
        "policy.max_new_tokens=6", "policy.rank=4", "lr=0.003", "total_steps=80", "eval_every=40",
        "eval.episodes=4", "eval.final_episodes=6", *more,
    ]  # fmt: skip


def train(*more, env="text/copy"):
    given = words(*more, env=env)
    return train_job(compose(given), overrides=given, view=QUIET)


def weights(run):
    return load_file(Path(run) / "checkpoints/last/policy.safetensors")


def lines(run):
    text = (Path(run) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "time/" not in k} for line in text]


@pytest.mark.parametrize("adapter", ["lora", "none"])
def test_what_was_learned_loads_elsewhere(model, adapter):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    summary = train(f"policy.adapter={adapter}")
    folder, run = summary["model"], summary["run"]
    base = AutoModelForCausalLM.from_pretrained(model)
    found = base if adapter == "none" else PeftModel.from_pretrained(base, folder)
    if adapter == "none":
        found = AutoModelForCausalLM.from_pretrained(folder)
    loaded = dict(found.named_parameters())
    learned = weights(run)
    assert learned
    for name, tensor in learned.items():
        torch.testing.assert_close(loaded[name].detach(), tensor)
    before = dict(untrained().named_parameters())
    moved = [n for n in learned if n not in before or not torch.equal(before[n], learned[n])]
    assert moved
    said = AutoTokenizer.from_pretrained(folder)("37+45=")["input_ids"]
    assert said == tokenizer()("37+45=")["input_ids"]
    ids = torch.tensor([said])
    assert found.generate(ids, max_new_tokens=3, do_sample=False).shape[1] > ids.shape[1]


# A DAPO update samples again, so it takes more tokens.
@pytest.mark.parametrize(
    ("most", "more"),
    [(80, ["policy.reduce_memory_peak=true"]), (600, ["policy.adapter=none", "preset=dapo"])],
)
def test_a_run_that_is_gone_on_with_is_the_run_left_alone(model, most, more):
    end = f"total_steps={most}"
    whole = train(*more, end, "optim.schedule=constant")
    half = train(*more, f"total_steps={most // 2}", "optim.schedule=constant")
    cfg, resumed = named_run(half["run"], [end], allow=True, trusted=False)
    again = train_job(cfg, overrides=[end], view=QUIET, resumed=resumed)
    assert whole["updates"] > half["updates"]
    assert again["env_steps"] == whole["env_steps"]
    wanted, found = weights(whole["run"]), weights(again["run"])
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert whole["eval"] == again["eval"]


def test_scores_play_and_export(model, tmp_path):
    run = train("advantage.ddof=0")["run"]
    scores = eval_job(EvalConf(ckpt=run, episodes=5, k=3), view=QUIET, trusted=False)["eval"]
    sampled = scores["sampled"]
    assert scores["greedy"]["k"] == 1
    assert sampled["k"] == 3
    assert 0 <= sampled["pass_at_1"] <= sampled["pass_at_k"] <= 1
    assert 0 < sampled["mean_length"] <= 6
    assert 0 <= sampled["truncated_frac"] <= 1
    conf = PlayConf(ckpt=run, members=3)
    shown = play_job(conf, view=QUIET, trusted=False)
    assert shown == play_job(conf, view=QUIET, trusted=False)  # the same noise
    assert len(shown["answers"]) == 3
    assert shown["prompt"].startswith("copy ")
    np.testing.assert_allclose(np.sum(shown["advantages"]), 0, atol=1e-6)
    out = tmp_path / "out"
    export_job(ExportConf(ckpt=run, format="hf", out=str(out)), view=QUIET, trusted=False)
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= {
        path.name for path in out.iterdir()
    }
    with pytest.raises(ConfigError, match="format=onnx"):
        export_job(ExportConf(ckpt=run), view=QUIET, trusted=False)


def test_functions_of_prompts_and_completions_pay(model, tmp_path):
    rows = [{"prompt": f"say {i}", "kind": "free" if i % 3 else "tight"} for i in range(8)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ConfigError, match="pays nothing by itself"):
        train("env.kwargs.file=p.jsonl", env="text/jsonl")
    summary = train(
        "env.kwargs.file=p.jsonl", "reward.functions=[./judges.py:digits,./judges.py:short]",
        "reward.weights=[1,0.5]", env="text/jsonl",
    )  # fmt: skip
    first = lines(summary["run"])[0]
    assert {"rewards/digits/mean", "rewards/short/mean"} <= first.keys()
    assert first["rewards/digits/mean"] > 0
    scores = eval_job(EvalConf(ckpt=summary["run"], episodes=3), view=QUIET, trusted=False)
    assert np.isfinite(scores["eval"]["sampled"]["mean_reward"])


def test_a_reward_model_pays(model, tmp_path):
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    torch.manual_seed(0)
    judge = Qwen2ForSequenceClassification(
        Qwen2Config(
            vocab_size=len(tokenizer()), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, num_labels=1,
            pad_token_id=tokenizer().pad_token_id,
        )
    )  # fmt: skip
    judge.save_pretrained(tmp_path / "judge")
    tokenizer().save_pretrained(tmp_path / "judge")
    summary = train("reward.functions=[env,reward_model]", "group.reward_model=judge")
    assert lines(summary["run"])[0]["rewards/reward_model/std"] > 0


def test_a_game_of_several_turns_is_learned_from_turn_by_turn(model):
    summary = train("preset=gigpo", "policy.adapter=none", env="text/blackjack")
    first = lines(summary["run"])[0]
    assert "baseline/plus_no_peer_frac" in first
    assert first["train/loss"] == first["train/loss"]


def test_what_does_not_go_with_words_is_refused(model):
    refused = [
        ["kl=exact", "kl.coef=0.1"], ["kl.sync_every=2", "kl.coef=0.1"], ["policy=mlp"],
        ["group=episodes"], ["advantage.adjust=linear"], ["video_every=10"], ["policy.model=null"],
        ["preset=opo"],
    ]  # fmt: skip
    for more in refused:
        with pytest.raises(ConfigError):
            compose(words(*more))
    with pytest.raises(ConfigError, match=r"policy\.model=\./nowhere is no folder"):
        train("policy.model=./nowhere")


def test_what_is_not_about_words_stays_light(model):
    import subprocess
    import sys

    code = "import sys, grpo_cli.config.jobs; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_runs_are_found_by_their_task(model):
    summary = train()
    run, _ = rundir.find("last")
    assert str(run.path) == summary["run"]
    assert "text-copy" in summary["run"]


def test_data_sets_are_read_from_disk_and_from_files(model, tmp_path):
    import datasets

    from grpo_cli.text.data import dataset

    rows = [{"question": f"{i}+1=", "answer": str(i + 1)} for i in range(10)]
    both = {"train": datasets.Dataset.from_list(rows), "test": datasets.Dataset.from_list(rows[:2])}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "saved")
    task = dataset(str(tmp_path / "saved"), test_split="test", prompt="question")
    assert {task.problem(4 * i + 2).prompt for i in range(40)} == {"0+1=", "1+1="}
    problem = task.problem(0)
    assert task.reward(problem.columns["answer"], problem) == 1
    (tmp_path / "files").mkdir()
    (tmp_path / "files/train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = dataset(str(tmp_path / "files"), prompt="question")
    assert task.problem(0).prompt in {row["question"] for row in rows}
    with pytest.raises(ConfigError, match="cannot be loaded"):
        dataset(str(tmp_path / "saved"), split="none")
    summary = train("env.kwargs.path=saved", "env.kwargs.prompt=question", env="text/dataset")
    assert summary["updates"] > 0
