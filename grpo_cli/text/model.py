"""Models and tokenizers of Hugging Face: loading, adapters, saving."""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grpo_cli.errors import ConfigError, MissingPackage

INSTALL = "pip install 'grpo-cli[text]'"
# What TRL and AgileRL adapt; PEFT is asked for "all-linear" where a model has none of them.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Speaker:
    """A causal language model, its tokenizer, and what belongs to both.

    Attributes:
        model: of transformers, or of PEFT around one.
        tokenizer: of transformers.
        pad: the id that fills up; the end's where the tokenizer has none.
        eos: ids that end an answer.
        adapted: only an adapter learns, and the model without it is the reference.
        bf16: compute in bfloat16.
        generation: how the model says it likes to generate; saved with it, and not used.
    """

    model: Any
    tokenizer: Any
    pad: int
    eos: tuple[int, ...]
    adapted: bool
    bf16: bool
    generation: Any = None

    def save(self, folder: Path | str) -> Path:
        """Write model or adapter, and tokenizer, as transformers and PEFT read them.

        Raises:
            OSError: it cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        inner = self.model.get_base_model() if self.adapted else self.model
        clean, inner.generation_config = inner.generation_config, self.generation
        try:
            self.model.save_pretrained(folder)
        finally:
            inner.generation_config = clean
        self.tokenizer.save_pretrained(folder)
        return folder


def load_speaker(
    name: str,
    device: torch.device,
    seed: int,
    *,
    adapter: str,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    dtype: str,
    gradient_checkpointing: bool,
) -> Speaker:
    """Load a model and its tokenizer, and put an adapter around it where one is asked for.

    Args:
        name: a folder in Hugging Face's format, an adapter's too, or a name on the hub.
        device: where to.
        seed: of the adapter's first weights.
        adapter: `lora`, or `none`: all weights learn.
        rank: of the adapter's matrices.
        alpha: the adapter's scale times its rank.
        targets: names of the layers that are adapted; none: the usual projections.
        dtype: `auto`: bfloat16 on a GPU that has it, else float32 | `float32` | `bfloat16`.
        gradient_checkpointing: keep no activations inside layers, compute them again.

    Raises:
        MissingPackage: transformers or PEFT is not installed.
        ConfigError: there is no such model, or no layer of such names.
    """
    tf, peft = libraries()
    if re.match(r"[./~]", name) and not Path(name).is_dir():  # no name on the hub looks like this
        raise ConfigError(
            f"policy.model={name} is no folder", "examples/text/make_model.py makes one"
        )
    bf16 = dtype == "bfloat16" or (
        dtype == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    # All weights are learned in float32, and only computed with in bfloat16.
    stored = torch.bfloat16 if bf16 and adapter == "lora" else torch.float32
    adapts = (Path(name) / "adapter_config.json").is_file()
    base = peft.PeftConfig.from_pretrained(name).base_model_name_or_path if adapts else name
    model = _told(name, lambda: tf.AutoModelForCausalLM.from_pretrained(base, dtype=stored))
    tokenizer = _told(name, lambda: tf.AutoTokenizer.from_pretrained(name))
    if adapts and adapter == "lora":
        model = peft.PeftModel.from_pretrained(model, name, is_trainable=True)
    elif adapts:
        model = peft.PeftModel.from_pretrained(model, name).merge_and_unload()
    elif adapter == "lora":
        model = adapted(model, seed, rank, alpha, targets)
    return prepared(model, tokenizer, device, bf16, gradient_checkpointing)


def adapted(model: Any, seed: int, rank: int, alpha: float, targets: Sequence[str]) -> Any:  # noqa: ANN401 - a model
    """Put a LoRA adapter around a model; it changes nothing yet.

    Raises:
        ConfigError: the model has no layers of these names.
    """
    _, peft = libraries()
    usual = [n for n in PROJECTIONS if any(m.endswith(n) for m, _ in model.named_modules())]
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=list(targets) or usual or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        # PEFT draws the first weights from torch's global generator, which is given back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(
            f"the model has no layers {list(targets)}: {str(error).splitlines()[0]}",
            "name some of its linear layers in policy.targets, or leave it empty",
        ) from error


def prepared(
    model: Any,  # noqa: ANN401 - a model
    tokenizer: Any,  # noqa: ANN401
    device: torch.device,
    bf16: bool,
    gradient_checkpointing: bool,
    pad: int | None = None,
) -> Speaker:
    """Make a model ready to act and to learn: nothing drops out, nothing warps what it says."""
    tf, peft = libraries()
    is_adapted = isinstance(model, peft.PeftModel)
    inner = model.get_base_model() if is_adapted else model
    _without_dropout(model)
    liked, inner.generation_config = inner.generation_config, tf.GenerationConfig()
    eos = _eos(tokenizer, liked, inner.config) or (() if pad is None else (pad,))
    if not eos:
        raise ConfigError(
            "neither the tokenizer nor the model says which token ends an answer",
            "set eos_token in the tokenizer's tokenizer_config.json",
        )
    if pad is None:
        pad = getattr(tokenizer, "pad_token_id", None)
    if gradient_checkpointing:
        # Its name since transformers 5.20; the older one warns there.
        name = "activation_checkpointing_enable"
        enable = getattr(inner, name, None) or inner.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        if is_adapted:
            model.enable_input_require_grads()
    model.to(device).eval()
    return Speaker(model, tokenizer, eos[0] if pad is None else pad, eos, is_adapted, bf16, liked)


def _eos(tokenizer: Any, *configs: Any) -> tuple[int, ...]:  # noqa: ANN401 - of transformers
    """Collect the ids that end an answer: a chat model may have several."""
    found: list[int] = []
    for source in (tokenizer, *configs):
        said = getattr(source, "eos_token_id", None)
        found += said if isinstance(said, list) else [] if said is None else [said]
    return tuple(dict.fromkeys(found))


def _without_dropout(model: nn.Module) -> None:
    """Let what is learned from be what was said: no layer drops anything, in training either."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]


def _told(name: str, load: Callable[[], Any]) -> Any:  # noqa: ANN401 - a model or a tokenizer
    """Load; what goes wrong becomes one line."""
    try:
        return load()
    except (OSError, ValueError, KeyError) as error:
        line = re.sub(r"\s+", " ", str(error)).strip()[:200]
        raise ConfigError(
            f"policy.model={name} cannot be loaded: {line}",
            "give a folder with config.json, weights and tokenizer, or a name on the hub",
        ) from error


def libraries() -> tuple[Any, Any]:
    """Import transformers and PEFT.

    Raises:
        MissingPackage: one of them is not installed.
    """
    try:
        import peft  # type: ignore[import-not-found]
        import transformers  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingPackage(f"text needs transformers and peft: {error}", INSTALL) from error
    transformers.utils.logging.disable_progress_bar()
    # PEFT 0.21 asks transformers 5 for what it now calls otherwise.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
    return transformers, peft
