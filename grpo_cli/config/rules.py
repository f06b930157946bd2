"""What a value has to satisfy, and that for every setting of the shipped components.

Only the standard library is imported here, so that `grpo train --help` stays fast.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """What a value has to satisfy beyond its type.

    Attributes:
        kind: `int`, `float`, `bool` or `str`; None takes the type of the shipped default.
        low: smallest value allowed.
        above: the value must be larger than this.
        high: largest value allowed.
        choices: the only texts allowed, besides numbers where `kind` is a number; for a list,
            the only elements.
        pattern: what a text has to match, as a whole.
        says: `pattern` in words.
        optional: null is allowed as well.
    """

    kind: type | None = None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    says: str = ""
    optional: bool = False


_POSITIVE = Rule(above=0)
_POSITIVE_OR_NULL = Rule(kind=float, above=0, optional=True)
_COUNT = Rule(low=1)
_COUNT_OR_NULL = Rule(kind=int, low=1, optional=True)

COMPONENT_RULES: dict[str, Rule] = {
    "group.noise_steps": _COUNT,
    "group.slots": _COUNT_OR_NULL,
    "group.actions": Rule(choices=("drawn", "all")),
    "group.horizon": _COUNT_OR_NULL,
    "group.commit": Rule(choices=("sampled", "best")),
    "group.weighting": Rule(choices=("policy", "uniform")),
    "group.learn": Rule(choices=("branches", "walk")),
    "group.state_frac": Rule(above=0, high=1),
    "group.walks": _COUNT,
    "group.candidates": Rule(kind=int, low=2, optional=True),
    "group.selector": Rule(choices=("spread", "uniform", "first")),
    "group.max_resample": Rule(low=0),
    "reward.weights": Rule(kind=float),
    "reward.aggregate": Rule(choices=("sum_then_normalise", "normalise_then_sum")),
    "reward.overlong_limit": _COUNT_OR_NULL,
    "reward.overlong_buffer": _COUNT_OR_NULL,
    "reward.overlong_factor": Rule(low=0),
    "group.tail": Rule(choices=("zero", "mask", "finish")),
    "reward_scaling.scope": Rule(choices=("batch", "group")),
    "reward_scaling.eps": _POSITIVE,
    "reward_scaling.gamma": Rule(low=0, high=1),
    "reward_scaling.limit": _POSITIVE,
    "advantage.value": Rule(choices=("return_to_go", "return", "process", "step")),
    "advantage.key": Rule(choices=("group_step", "group", "state", "bin", "batch")),
    "advantage.baseline": Rule(
        choices=("loo", "mean", "length_weighted", "score_norm", "shrunk", "greedy", "none")
    ),
    "advantage.scale": Rule(
        choices=("batch", "group", "none", "timestep", "max_abs", "batch_value", "whiten")
    ),
    "advantage.fallback": Rule(choices=("neighbour_step", "all_groups")),
    "advantage.adjust": Rule(choices=("none", "linear")),
    "advantage.min_peers": _COUNT,
    "advantage.eps": _POSITIVE,
    "advantage.ddof": Rule(low=0, high=1),
    "advantage.bin_size": _POSITIVE,
    "loss.eps_low": Rule(above=0, high=1),
    "loss.eps_high": _POSITIVE_OR_NULL,
    "loss.delta": Rule(kind=float, above=1, optional=True),
    "loss.ratio": Rule(choices=("step", "sequence", "trajectory")),
    "loss.aggregate": Rule(choices=("step_mean", "member_mean", "constant", "member_sum")),
    "loss.length": _POSITIVE_OR_NULL,
    "loss.tau_pos": _POSITIVE,
    "loss.tau_neg": _POSITIVE,
    "loss.k_pos": Rule(low=0),
    "loss.k_neg": Rule(low=0),
    "loss.lambda_pos": Rule(low=0),
    "loss.lambda_neg": Rule(low=0),
    "loss.cov_frac": Rule(above=0, high=1),
    "loss.cov_coef": Rule(low=0),
    "kl.coef": Rule(low=0),
    "kl.direction": Rule(choices=("reverse", "forward")),
    "kl.where": Rule(choices=("loss", "reward", "advantage")),
    "kl.reference": Rule(pattern=r".+", says="initial, old, or a run or checkpoint"),
    "kl.sync_every": Rule(kind=int, low=1, optional=True),
    "kl.sync_alpha": Rule(above=0, high=1),
    "kl.target": _POSITIVE_OR_NULL,
    "kl.horizon": _POSITIVE,
    "entropy.coef": Rule(low=0),
    "entropy.target": Rule(kind=float, optional=True),
    "entropy.step": _POSITIVE,
    "entropy.low": Rule(low=0),
    "entropy.high": Rule(low=0),
    "entropy.top_quantile": Rule(above=0, high=1),
    "policy.hidden": _COUNT,
    "policy.activation": Rule(choices=("tanh", "relu", "silu")),
    "policy.bounds": Rule(choices=("clip", "tanh")),
    "policy.std": Rule(choices=("parameter", "state")),
    "policy.init": Rule(choices=("orthogonal", "torch")),
    "policy.head_gain": Rule(low=0),
    "policy.architecture": Rule(choices=("auto", "nature", "impala", "small")),
    "policy.image_features": _COUNT,
    "policy.cell": Rule(choices=("lstm", "gru")),
    "policy.size": _COUNT,
    "policy.model": Rule(kind=str, optional=True),
    "policy.adapter": Rule(choices=("lora", "none")),
    "policy.rank": _COUNT,
    "policy.alpha": _POSITIVE,
    "policy.targets": Rule(kind=str),
    "policy.dtype": Rule(choices=("auto", "float32", "bfloat16")),
    "policy.micro_batch": _COUNT,
    "policy.temperature": _POSITIVE,
    "policy.top_p": Rule(above=0, high=1),
    "policy.top_k": Rule(low=0),
    "policy.max_new_tokens": _COUNT,
    "policy.chat": Rule(choices=("auto", "always", "never")),
    "policy.system": Rule(kind=str, optional=True),
    "policy.server": Rule(kind=str, optional=True),
    "policy.server_folder": Rule(kind=str, optional=True),
    "group.reward_model": Rule(kind=str, optional=True),
    "optim.eps": _POSITIVE,
    "optim.schedule": Rule(choices=("constant", "linear")),
    "optim.max_grad_norm": _POSITIVE_OR_NULL,
    "optim.target_kl": _POSITIVE_OR_NULL,
    "backend.timeout_s": _POSITIVE,
    "eval.episodes": _COUNT,
    "eval.final_episodes": _COUNT,
    "cluster.address": Rule(kind=str, optional=True),
    "cluster.executor": Rule(choices=("slurm", "local")),
    "cluster.nodes": _COUNT,
    "cluster.cpus": _COUNT,
    "cluster.gpus": Rule(low=0),
    "cluster.minutes": _COUNT,
    "cluster.partition": Rule(kind=str, optional=True),
    "cluster.max_failures": Rule(low=0),
    "checkpoint.keep": Rule(low=2),  # one may be lost while the next is written
}
"""Ranges and choices of the shipped components; types come from their YAML files."""
