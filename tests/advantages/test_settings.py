import pytest
from builders import make_rollout

from grpo_cli.advantages import check_peer, peer, settings
from grpo_cli.advantages.fallbacks import FALLBACKS
from grpo_cli.errors import ConfigError

WHOLE = {"value": "return", "key": "group", "fallback": []}


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({**WHOLE, "key": "state"}, "share no step"),
        ({"key": "batch"}, "not advantage.key=batch"),
        ({"fallback": "all_groups"}, "is a list"),
        ({"baseline": "score_norm"}, "a mean of its own"),
        ({"baseline": "shrunk", "fallback": []}, "whole members of a group"),
        ({**WHOLE, "key": "batch", "baseline": "greedy"}, "whole members of a group"),
        ({**WHOLE, "baseline": "greedy", "min_peers": 2}, "one greedy member"),
        ({"scale": "timestep"}, "a lonely row has none"),
        ({"key": "state", "adjust": "linear"}, "at the same step"),
        ({"key": "group_step", "baseline": "none", "adjust": "linear"}, "at the same step"),
        ({"bin_size": 0.0}, "bin_size=0.0 is too small"),
        ({"min_peers": 0}, "min_peers=0 is too small"),
        ({"ddof": 2}, "ddof=2 does not exist"),
        ({"plus": [{"value": "step"}]}, r"plus\[0\] is a level"),
        ({"plus": ["step"]}, r"plus\[0\] is a level"),
        ({"plus": [{"coef": 1, "plus": []}]}, r"plus\[0\] has no key plus"),
        ({"plus": [{"coef": 1, "gamma": 2}]}, "is no discount"),
        ({"plus": [{"coef": 1}, {"coef": 1, "key": "sate"}]}, r"plus\[1\].key=sate does not"),
        ({"plus": [{"coef": 1, "value": "return"}]}, r"plus\[0\].value=return compares"),
    ],
)
def test_what_does_not_fit_is_refused(given, what):
    rollout = make_rollout([[1.0], [2.0]])
    with pytest.raises(ConfigError, match=what) as refused:
        peer(rollout, rollout.reward, 1.0, **given)
    assert refused.value.fix


def test_a_file_of_ones_own_may_leave_settings_out():
    check_peer({"value": "step"})
    with pytest.raises(ConfigError, match="no key score_norm"):
        check_peer({"score_norm": None})
    with pytest.raises(ConfigError, match="a lonely row"):
        check_peer({"scale": "timestep"})


def test_the_names_of_fall_backs_are_those_that_exist():
    assert set(settings.FALLBACK_NAMES) == set(FALLBACKS)
