"""From a checked config to the learner: optimizer, objective, penalty, coefficients."""

from collections.abc import Callable
from typing import Any

from grpo_cli import checkpoint, entropy, kl, losses, rundir
from grpo_cli.adam import Adam
from grpo_cli.config.build import component
from grpo_cli.config.combinations import misleading
from grpo_cli.distributions import Gaussian
from grpo_cli.entropy import EntropyCoef
from grpo_cli.envs import EnvSource
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.kl import KlCoef
from grpo_cli.learner import Learner, Penalty
from grpo_cli.objective import Objective
from grpo_cli.policies import Policy
from grpo_cli.reference import Reference
from grpo_cli.update import Schedule

Words = dict[str, Any]
REFERENCES = ("initial", "old")


def build_learner(
    words: Words, policy: Policy, source: EnvSource, warn: Callable[[str], None]
) -> Learner:
    """Build the optimizer and what it minimises.

    Args:
        words: the whole config.
        policy: who learns.
        source: the environment; its time limit is the largest length of a member.
        warn: says one line about settings that are allowed and mislead.

    Raises:
        ConfigError: a coefficient is missing.
        CheckpointError: the reference cannot be loaded.
    """
    optim, share = words["optim"], words["entropy"]["top_quantile"]
    if share < 1 and isinstance(policy.family, Gaussian) and not policy.family.squash:
        warn(
            "entropy.top_quantile has no effect: the entropy of a Gaussian policy is the same in "
            "every state"
        )
    for line in misleading(words):
        warn(line)
    loss = words["loss"]
    if loss.get("aggregate") == "constant" and loss.get("length", 0) is None:
        loss = {**loss, "length": float(source.max_steps)}
    return Learner(
        policy,
        Adam(policy.parameters(), lr=words["lr"], eps=optim["eps"]),
        Objective(
            loss=component(losses, loss),
            kl=component(kl, words["kl"]),
            entropy=component(entropy, words["entropy"]),
            top_quantile=share,
        ),
        Schedule(
            epochs=words["epochs"],
            num_minibatches=words["num_minibatches"],
            minibatch_size=words["minibatch_size"],
            target_kl=optim["target_kl"],
            max_grad_norm=optim["max_grad_norm"],
        ),
        lr=words["lr"],
        anneal=optim["schedule"] == "linear",
        seed=words["seed"],
        penalty=_penalty(words, policy, source),
        entropy_coef=_entropy_coef(words),
    )


def _penalty(words: Words, policy: Policy, source: EnvSource) -> Penalty | None:
    """Build the KL penalty; without a coefficient there is none, and no copy of the policy."""
    node = words["kl"]
    coef = _coef(words, "kl")
    if not coef:
        return None
    old = node["reference"] == "old"
    reference = Reference(
        policy,
        sync_every=1 if old else node["sync_every"],
        alpha=1.0 if old else node["sync_alpha"],
    )
    if node["reference"] not in REFERENCES:
        _load(reference, node["reference"], source)
    return Penalty(reference, KlCoef(coef, node["target"], node["horizon"]), node["where"])


def _entropy_coef(words: Words) -> EntropyCoef:
    node = words["entropy"]
    return EntropyCoef(
        _coef(words, "entropy"), node["target"], node["step"], node["low"], node["high"]
    )


def _coef(words: Words, part: str) -> float:
    """Return a coefficient; own code has none unless it is given."""
    if "coef" not in words[part]:
        raise ConfigError(
            f"{part}={words[part]['name']} has no coefficient", f"add +{part}.coef=0.01"
        )
    return float(words[part]["coef"])


def absolute_reference(name: str) -> str:
    """Return the folder of the checkpoint that `kl.reference` names, so that it is found again.

    Raises:
        CheckpointError: there is none.
    """
    if name in REFERENCES:
        return name
    try:
        return str(rundir.find(name)[1].resolve())
    except CheckpointError as error:
        raise CheckpointError(
            f"kl.reference={name}: {error.what}",
            "write initial, old, or a run folder; kl.sync_every=10 lets initial follow the policy",
        ) from error


def _load(reference: Reference, name: str, source: EnvSource) -> None:
    """Give the reference the weights of a checkpoint of the same environment and policy."""
    path = rundir.find(name)[1]
    saved = checkpoint.load(path)
    made_for = saved.facts.get("env", source.id)
    if made_for != source.id:
        raise CheckpointError(
            f"kl.reference={path} was made for {made_for}, not for {source.id}",
            f"give a checkpoint of {source.id}",
        )
    try:
        reference.load(saved.policy)
    except RuntimeError as error:
        raise CheckpointError(
            f"kl.reference={path} does not fit the policy of this config",
            "choose the policy settings that it was trained with",
        ) from error
