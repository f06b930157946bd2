"""Every key has a sentence, and nothing but keys has."""

import pytest

from grpo_cli.config import files
from grpo_cli.config.meaning import explain, train_keys
from grpo_cli.config.schema import COMPONENTS, GROUPS
from grpo_cli.config.sentences import SENTENCES
from grpo_cli.errors import ConfigError


def test_every_key_of_the_shipped_components_has_a_sentence():
    assert set(SENTENCES) == {key for group in COMPONENTS for key in files.component_keys(group)}


def test_everything_can_be_explained():
    for key in (
        *train_keys(),
        *GROUPS,
        "env.max_steps",
        "eval.min_reward",
        "budget",
        "play.out",
        "sweep.trials",
    ):
        found = explain(key)
        assert len(found.sentence) > 5, key


def test_a_key_says_its_type_unit_and_default():
    found = explain("total_steps")
    assert found.sentence == "training budget"
    assert found.facts == [
        ("type", "a whole number, at least 1"), ("unit", "env steps"), ("default", "1000000"),
    ]  # fmt: skip
    loss = dict(explain("loss.eps_high").facts)
    assert loss["default"] == "null"
    assert "dapo 0.28" in loss["elsewhere"]
    assert dict(explain("loss").choices)["sapo"].startswith("SAPO: a soft gate")
    assert explain("samples_per_time_step").key == "group_size"


def test_a_mistyped_key_is_answered():
    with pytest.raises(ConfigError) as error:
        explain("loss.eps_hi")
    assert "loss.eps_high" in error.value.fix
