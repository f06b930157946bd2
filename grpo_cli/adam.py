"""torch's fused Adam kernel without the class around it.

`torch.optim.Adam` imports torch's compiler when it is made, which takes longer than training
CartPole does, and nothing here is compiled. The numbers are torch's own, bit for bit; a test holds
the two together.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from grpo_cli.clock import part


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), with the part of torch's interface used here.

    Args:
        parameters: what is optimised, changed in place.
        lr: step size; changed later through `param_groups`.
        betas: decay of the running means of gradients and of their squares.
        eps: added to the divisor.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self._parameters = list(parameters)
        self._betas = betas
        self._eps = eps
        self._mean = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._square = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = [torch.zeros((), device=p.device) for p in self._parameters]
        self.param_groups: list[dict[str, Any]] = [{"params": self._parameters, "lr": lr}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    @part("optimizer step")
    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the gradients; parameters without one stay where they are."""
        moved = [i for i, parameter in enumerate(self._parameters) if parameter.grad is not None]
        gradients = [grad for p in self._parameters if (grad := p.grad) is not None]
        adam(
            [self._parameters[i] for i in moved],
            gradients,
            [self._mean[i] for i in moved],
            [self._square[i] for i in moved],
            [],
            [self._steps[i] for i in moved],
            fused=True,
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=self.param_groups[0]["lr"],
            weight_decay=0.0,
            eps=self._eps,
            maximize=False,
        )

    def state_dict(self) -> dict[str, dict[int, dict[str, Tensor]]]:
        """Return the running means and step counts, laid out as torch's Adam does."""
        columns = zip(self._steps, self._mean, self._square, strict=True)
        return {
            "state": {
                number: {"step": step, "exp_avg": mean, "exp_avg_sq": square}
                for number, (step, mean, square) in enumerate(columns)
            }
        }

    @torch.no_grad()
    def load_state_dict(self, saved: dict[str, dict[int, dict[str, Tensor]]]) -> None:
        """Go on where a saved optimizer stood.

        Raises:
            KeyError, RuntimeError: it belongs to other parameters.
        """
        columns = (("step", self._steps), ("exp_avg", self._mean), ("exp_avg_sq", self._square))
        for name, column in columns:
            for number, own in enumerate(column):
                own.copy_(saved["state"][number][name])


@part("optimizer step")
@torch.no_grad()
def clip_grad_norm(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale gradients down to a global norm, in place; returns the norm before, a scalar.

    `torch.nn.utils.clip_grad_norm_` without its sorting by device and type, which takes longer
    than Adam's step does on a small network.

    Args:
        parameters: all on one device.
        max_norm: of all gradients together; None only measures.
    """
    gradients = [grad for p in parameters if (grad := p.grad) is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if max_norm is not None:
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp_(max=1.0))
    return norm
