"""What goes with words, and what does not."""

from collections.abc import Mapping
from typing import Any

from grpo_cli.errors import ConfigError

Tree = Mapping[str, Any]


def check_text(tree: Tree) -> None:
    """Refuse settings that a language model cannot have, or that only one can.

    Raises:
        ConfigError: the first of them.
    """
    words = tree["group"]["name"] == "text"
    if (tree["policy"]["name"] == "text") != words:
        raise ConfigError(
            f"group={tree['group']['name']} and policy={tree['policy']['name']}: a language model "
            "learns from groups of answers, and nothing else does",
            "write group=text policy=text policy.model=<folder>, or leave out both",
        )
    if not words:
        if tree["env"]["id"].startswith("text/"):
            raise ConfigError(
                f"env={tree['env']['id']} asks in words, group={tree['group']['name']} does not",
                "leave out group=, or write group=text",
            )
        return
    for wrong, what, fix in _wrong(tree):
        if wrong:
            raise ConfigError(what, fix)


def _wrong(tree: Tree) -> list[tuple[object, str, str]]:
    kl, advantage, policy = tree["kl"], tree["advantage"], tree["policy"]
    adapted = policy.get("adapter") == "lora"
    levels = [advantage, *(advantage.get("plus") or ())]
    follows = kl.get("sync_every") is not None or kl.get("reference", "initial") != "initial"
    return [
        (
            policy.get("model") is None,
            "policy=text needs a model",
            "write policy.model=<folder or hub name>; examples/text/make_model.py makes one",
        ),
        (
            kl["name"] == "exact" and kl.get("coef"),
            "kl=exact would need the probabilities of all tokens at every place",
            "write kl=k3",
        ),
        (
            kl.get("coef") and adapted and follows,
            "with an adapter the reference is the model without it, which does not follow",
            "leave out kl.reference and kl.sync_every, or set policy.adapter=none",
        ),
        (
            any(level.get("adjust") == "linear" for level in levels),
            "advantage.adjust=linear reads observations as numbers, and these are words",
            "set advantage.adjust=none",
        ),
        (
            any(level.get("baseline") == "score_norm" for level in levels),
            "advantage.baseline=score_norm would need the probabilities of all tokens",
            "choose another advantage.baseline",
        ),
        (
            any(level.get("baseline") == "length_weighted" for level in levels),
            "advantage.baseline=length_weighted weighs by tokens, and here turns are compared",
            "choose another advantage.baseline",
        ),
        (
            any(level.get("key") == "bin" for level in levels),
            "advantage.key=bin rounds observations, and these are words",
            "set advantage.key=state: equal words",
        ),
        (
            tree.get("video_every") is not None,
            "words are not filmed",
            "leave out video_every; grpo play prints answers side by side",
        ),
        (
            tree.get("tune", "none") != "none",
            "tune=auto measures environments of numbers",
            "leave out tune",
        ),
    ]
