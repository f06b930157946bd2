"""From a config to a group mode that goes back to visited states."""

from functools import partial

from grpo_cli import groups
from grpo_cli.config.build import Words, component
from grpo_cli.config.schema import is_own
from grpo_cli.config.trust import load_own
from grpo_cli.distributions import Categorical
from grpo_cli.envs import EnvSource, Simulator, check_tensors, make_simulator
from grpo_cli.errors import ConfigError
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.sinks.view import View
from grpo_cli.train import Sampler
from grpo_cli.transitions import TransitionReward, is_transition_reward

MODES = ("candidates", "branches")


def build_lookahead(
    words: Words, source: EnvSource, view: View, ranks: Ranks = ALONE
) -> tuple[Sampler, Simulator]:
    """Build the group mode and its simulator, which is proved here.

    With group.actions=all the number of actions takes the place of `group_size` in `words`.

    Raises:
        ConfigError: the environment cannot go back to a state, or a setting does not fit it.
    """
    node, family = words["group"], source.codec.family
    if words["backend"]["name"] != "auto":
        raise ConfigError(
            f"group={node['name']} steps environments that can go back to a state, and "
            f"backend={words['backend']['name']} cannot",
            "set backend=auto",
        )
    if node.get("actions") == "all" and isinstance(family, Categorical):
        words["group_size"] = family.num_outputs
    reward = transition_reward(words)
    if reward is not None:
        check_tensors(source.action_space)
    num_groups = len(ranks.share(words["num_groups"]))
    members = num_groups * words["group_size"]
    longest = min(node["horizon"] or source.max_steps, source.max_steps)
    groups.check_memory(source, members * longest)
    simulator, why = make_simulator(source, max(members, node["walks"]))
    view.notice(f"simulator {simulator.name}: {why}")
    mode = component(groups, node)(
        simulator,
        source.codec,
        num_groups,
        words["group_size"],
        words["seed"],
        words["gamma"],
        reward,
        ranks,
    )
    return mode, simulator


def transition_reward(words: Words) -> TransitionReward | None:
    """Load the function of (state, action, next_state) that `reward` names, if it names one.

    Raises:
        ConfigError: it does, and the group mode does not go through transitions one by one.
    """
    node = words["reward"]
    if not is_own(node["name"]):
        return None
    found = load_own(node["name"])
    if not is_transition_reward(found):
        return None
    if words["group"]["name"] not in MODES:
        raise ConfigError(
            f"reward={node['name']} is a function of (state, action, next_state), which "
            f"group={words['group']['name']} does not ask",
            "set group=candidates, or write a function of the rollout",
        )
    return TransitionReward(partial(found, **{k: v for k, v in node.items() if k != "name"}))
