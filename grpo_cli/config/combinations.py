"""Settings that are allowed one by one, and impossible or misleading together."""

from collections.abc import Iterator, Mapping
from typing import Any

from grpo_cli.config.combinations_text import check_text
from grpo_cli.config.schema import is_own
from grpo_cli.errors import ConfigError

Tree = Mapping[str, Any]
WHOLE_BATCH = ("clip_cov", "kl_cov")
LOOK_AHEAD = ("candidates", "branches")
WITHOUT_GREEDY = ("windows", *LOOK_AHEAD)


def check_combinations(tree: Tree, choices: Tree) -> None:
    """Refuse settings that cannot be together, or that would have no effect.

    Args:
        tree: the composed configuration, each value of it allowed.
        choices: what was chosen for each group.

    Raises:
        ConfigError: the first pair.
    """
    _check_selection(tree["group"], tree["group_size"])
    _check_rewards(tree["reward"], tree["advantage"], tree["kl"])
    _check_advantage(tree["advantage"], tree["num_groups"], tree["group"])
    _check_loss(tree["loss"], str(choices.get("loss")), tree["group"])
    _check_kl(tree["kl"])
    _check_entropy(tree["entropy"])
    check_processes(tree["processes"], tree)
    check_text(tree)
    _refuse(
        tree["policy"]["name"] == "recurrent" and tree["group"]["name"] in LOOK_AHEAD,
        f"group={tree['group']['name']} starts in the middle of episodes, and policy=recurrent "
        "reads them from their start",
        "set group=episodes, or policy=auto",
    )


def check_processes(processes: int, tree: Tree) -> None:
    """Refuse what several processes cannot do as if they were one.

    Raises:
        ConfigError: the first thing.
    """
    if processes == 1:
        return
    num_groups, loss = tree["num_groups"], tree["loss"]["name"]
    _refuse(
        processes > num_groups,
        f"{processes} processes need {processes} groups, and num_groups={num_groups}",
        f"set num_groups={processes} or more, or fewer processes",
    )
    _refuse(
        loss in WHOLE_BATCH,
        f"loss={loss} ranks the rows of a whole minibatch, of which each process has a part",
        "set processes=1, or another loss",
    )
    _refuse(
        is_own(tree["group"]["name"]),
        "a group mode of your own samples all groups, and each process its share",
        "set processes=1",
    )


def misleading(tree: Tree) -> Iterator[str]:
    """Yield one line for each setting that is allowed, and does not do what it seems to."""
    advantage, kl = tree["advantage"], tree["kl"]
    if advantage.get("scale") == "group" and tree["group_size"] == 2:
        yield (
            "advantage.scale=group with group_size=2 is 1 for the better and -1 for the worse, "
            "however small the gap; write advantage.scale=batch, or a larger group_size"
        )
    if tree["group"]["name"] == "windows" and advantage.get("key") == "group_step":
        yield (
            "advantage.key=group_step compares equal steps of pieces that start anywhere; "
            "write advantage=scalar for a window"
        )
    in_loss = kl.get("where") == "loss" and kl.get("direction") == "reverse"
    if kl.get("coef") and kl["name"] == "k1" and in_loss:
        yield (
            "kl=k1 in the loss has no gradient on average and regularises nothing; "
            "write kl.where=reward, or kl=exact"
        )
    if tree["processes"] > 1 and is_own(tree["loss"]["name"]):
        yield (
            f"loss={tree['loss']['name']} is added up over {tree['processes']} processes: it is "
            "right if it divides by batch.total_weight, as batch.weighted does, not by its rows"
        )
    if tree["loss"]["name"] == "reinforce" and tree["epochs"] > 1:
        yield (
            "loss=reinforce has no ratio: after the first of several epochs its gradient is "
            "biased; write epochs=1"
        )


def _check_selection(group: Tree, group_size: int) -> None:
    candidates = group.get("candidates")
    _refuse(
        bool(candidates) and candidates < group_size,
        f"group.candidates={candidates} is less than group_size={group_size}",
        "sample at least as many members as are kept, or set group.candidates=null",
    )
    _refuse(
        group.get("max_resample") and not group.get("drop_dead"),
        f"group.max_resample={group.get('max_resample')} replaces dropped groups, but none is "
        "dropped",
        "set group.drop_dead=true, or group.max_resample=0",
    )


def _check_rewards(reward: Tree, advantage: Tree, kl: Tree) -> None:
    separate = reward.get("aggregate") == "normalise_then_sum"
    _refuse(
        separate and advantage.get("scale") == "none",
        "reward.aggregate=normalise_then_sum, but advantage.scale=none normalises nothing",
        "set advantage.scale=group (GDPO), or reward.aggregate=sum_then_normalise",
    )
    _refuse(
        separate and bool(kl.get("coef")) and kl.get("where") != "loss",
        f"kl.where={kl.get('where')} is one more reward, and reward.aggregate=normalise_then_sum "
        "would count it with each function",
        "set kl.where=loss, or reward.aggregate=sum_then_normalise",
    )


def _check_advantage(advantage: Tree, num_groups: int, group: Tree) -> None:
    levels = [advantage, *(advantage.get("plus") or ())]
    _refuse(
        advantage.get("baseline") == "greedy" and group["name"] in WITHOUT_GREEDY,
        f"advantage.baseline=greedy needs greedy members, and group={group['name']} has none",
        "set group=episodes, or another advantage.baseline",
    )
    for setting, value in (("adjust", "linear"), ("baseline", "shrunk")):
        _refuse(
            num_groups == 1 and any(level.get(setting) == value for level in levels),
            f"advantage.{setting}={value} looks at other groups, and there is only one",
            f"set num_groups=2 or more, or another advantage.{setting}",
        )


def _check_loss(loss: Tree, choice: str, group: Tree) -> None:
    _refuse(
        loss["name"] == "all_action" and group.get("actions") != "all",
        "loss=all_action sums over every action of a state, and here some are drawn",
        "set group=candidates group.actions=all, or another loss",
    )
    _refuse(
        choice in ("gspo", "luspo") and loss["ratio"] != "sequence",
        f"loss={choice} is about the ratio of whole sequences, not loss.ratio={loss.get('ratio')}",
        "leave out loss.ratio, or write loss=clip with an aggregate and a ratio",
    )
    _refuse(
        loss.get("length") is not None and loss.get("aggregate") not in (None, "constant"),
        f"loss.length has no effect with loss.aggregate={loss.get('aggregate')}",
        "set loss.aggregate=constant, or leave out loss.length",
    )
    if loss.get("delta") is not None:
        high = loss["eps_low"] if loss["eps_high"] is None else loss["eps_high"]
        _refuse(
            loss["delta"] <= 1 + high,
            f"loss.delta={loss['delta']:g} is within the clip, which ends at {1 + high:g}",
            "set loss.delta=3, or any number above the clip",
        )
    if "cov_low" in loss:
        _refuse(
            loss["cov_low"] >= loss["cov_high"],
            f"loss.cov_low={loss['cov_low']} is not below loss.cov_high={loss['cov_high']}",
            "give a lower bound below the upper bound",
        )


def _check_kl(kl: Tree) -> None:
    where, reference = kl.get("where", "loss"), kl.get("reference", "initial")
    _refuse(
        where != "loss" and reference == "old",
        f"kl.reference=old is the policy that acted: kl.where={where} would always subtract 0",
        "set kl.reference=initial, or kl.where=loss",
    )
    _refuse(
        reference == "old" and kl.get("sync_every") is not None,
        "kl.reference=old already follows after every update",
        "leave out kl.sync_every, or set kl.reference=initial",
    )
    _refuse(
        where != "loss" and kl.get("name") == "straight_through",
        f"kl=straight_through is about gradients, and kl.where={where} has none",
        "set kl=k3, its value",
    )
    _refuse(
        kl.get("target") is not None and not kl.get("coef"),
        "kl.target changes kl.coef by factors, which leaves 0 as it is",
        "set kl.coef=0.1 to begin with",
    )


def _check_entropy(entropy: Tree) -> None:
    if entropy.get("target") is not None:
        low, high, coef = entropy["low"], entropy["high"], entropy.get("coef", 0)
        _refuse(
            not low <= coef <= high,
            f"entropy.coef={coef} is not within entropy.low={low} and entropy.high={high}",
            "an adaptive coefficient starts within its bounds",
        )


def _refuse(wrong: object, what: str, fix: str) -> None:
    if wrong:
        raise ConfigError(what, fix)
