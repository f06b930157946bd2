"""Settings of loss, kl and entropy that are allowed one by one, and impossible together."""

from collections.abc import Mapping
from typing import Any

from grpo_cli.errors import ConfigError

Tree = Mapping[str, Any]


def check_learning(tree: Tree, choices: Tree) -> None:
    """Refuse settings of the update that cannot be together, or that would have no effect.

    Raises:
        ConfigError: the first pair.
    """
    loss, kl, entropy = tree["loss"], tree["kl"], tree["entropy"]
    _check_loss(loss, str(choices.get("loss")))
    _check_kl(kl)
    if entropy.get("target") is not None:
        low, high, coef = entropy["low"], entropy["high"], entropy.get("coef", 0)
        _refuse(
            not low <= coef <= high,
            f"entropy.coef={coef} is not within entropy.low={low} and entropy.high={high}",
            "an adaptive coefficient starts within its bounds",
        )


def _check_loss(loss: Tree, choice: str) -> None:
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


def _refuse(wrong: bool, what: str, fix: str) -> None:
    if wrong:
        raise ConfigError(what, fix)
