"""`grpo config`: values and where they came from."""

from pathlib import Path

import yaml
from omegaconf import OmegaConf

from grpo_cli.config.compose import compose_all
from grpo_cli.config.origins import annotated, origins, with_origins


def test_each_layer_is_named(tmp_path: Path):
    (tmp_path / "preset").mkdir()
    preset = tmp_path / "preset" / "mine.yaml"
    preset.write_text("# @package _global_\ntotal_steps: 5\nkl: {coef: 0.5}\n")
    words = ["env=CartPole-v1", "preset=mine", "seed=4", "loss=my.fn", "env.kwargs.g=1"]
    where = origins(compose_all(words, [tmp_path]))
    assert where["seed"] == "command line"
    assert where["loss.name"] == "command line"
    assert where["env.kwargs.g"] == "command line"
    assert where["total_steps"] == str(preset)
    assert where["kl.coef"] == str(preset)
    assert where["kl.reference"] == "conf/kl/exact.yaml"
    assert where["lr"] == where["env.id"] == "conf/env/CartPole-v1.yaml"
    assert where["sinks.tensorboard.name"] == "conf/sinks/tensorboard.yaml"
    assert where["minibatch_size"] == "default"


def test_an_id_without_a_file_comes_from_the_command_line():
    assert origins(compose_all(["env=Reacher-v4"]))["env.id"] == "command line"


def test_the_annotated_text_is_the_same_config():
    composed = compose_all(["env=CartPole-v1", "env.kwargs={a: [1, 'x: y'], b: null}", "lr=1e-8"])
    text = annotated(composed)
    assert yaml.safe_load(text) == OmegaConf.to_container(composed.cfg)
    columns = {line.index("  # ") for line in text.splitlines() if "  # " in line}
    assert len({line.rindex("# ") for line in text.splitlines() if "# " in line}) == 1, columns


def test_values_with_origins():
    table = with_origins(compose_all(["env=CartPole-v1", "seed=4"]))
    assert table["seed"] == {"value": 4, "origin": "command line"}
    assert table["loss.eps_high"] == {"value": None, "origin": "conf/loss/clip.yaml"}
