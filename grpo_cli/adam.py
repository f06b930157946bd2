"""Adam on all parameters as one: in NumPy for small networks, by torch's fused kernel for others.

`torch.optim.Adam` imports torch's compiler when it is made, which takes longer than training
CartPole does, and nothing here is compiled. The numbers are torch's own; a test holds them
together.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam

from grpo_cli.clock import part

# Numbers up to which NumPy's many passes, all in the processor's cache, are faster than one of
# torch, which takes three times as long between NumPy's operations as it does on its own.
SMALL = 1 << 16


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), with the part of torch's interface used here.

    The parameters become views of one tensor and so do their gradients: a step, and the norm of all
    gradients, are then one operation each, however many layers there are.

    Args:
        parameters: those that require a gradient are optimised, in place; of one type and on one
            device.
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
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._betas = betas
        self._eps = eps
        self._flat = torch.cat([p.detach().reshape(-1) for p in self._parameters])
        self._gradient, self._mean, self._square = (torch.zeros_like(self._flat) for _ in range(3))
        self._step = torch.zeros((), device=self._flat.device)
        own = (self._flat, self._gradient, self._mean, self._square, self._step)
        self._arrays = [tensor.numpy() for tensor in own] if _is_small(self._flat) else []
        self._slopes = self._views(self._gradient)
        for parameter, value, slope in zip(
            self._parameters, self._views(self._flat), self._slopes, strict=True
        ):
            parameter.data = value
            parameter.grad = slope
        self.param_groups: list[dict[str, Any]] = [{"params": self._parameters, "lr": lr}]

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Return the pieces of a flat tensor that belong to the parameters, in their shapes."""
        pieces = flat.split([p.numel() for p in self._parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self._parameters, strict=True)]

    def gradients(self) -> list[Tensor]:
        """Return all gradients as one, those that a graph left elsewhere included, [1] x [P]."""
        for parameter, slope in zip(self._parameters, self._slopes, strict=True):
            if parameter.grad is not slope:
                slope.zero_() if parameter.grad is None else slope.copy_(parameter.grad)
                parameter.grad = slope
        return [self._gradient]

    @part("optimizer step")
    def step(self) -> None:
        """Take one step along the gradients."""
        gradients = self.gradients()
        if self._arrays:
            self._in_numpy(*self._arrays)
        else:
            self._in_torch(gradients)

    @torch.no_grad()
    def _in_torch(self, gradients: list[Tensor]) -> None:
        adam(
            [self._flat],
            gradients,
            [self._mean],
            [self._square],
            [],
            [self._step],
            fused=True,
            amsgrad=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=self.param_groups[0]["lr"],
            weight_decay=0.0,
            eps=self._eps,
            maximize=False,
        )

    def _in_numpy(
        self, value: NDArray, g: NDArray, mean: NDArray, square: NDArray, step: NDArray
    ) -> None:
        step += 1
        keep, keep_square = self._betas
        mean *= keep
        mean += (1 - keep) * g
        square *= keep_square
        change = g * g
        change *= 1 - keep_square
        square += change
        np.sqrt(square, out=change)
        change *= 1 / math.sqrt(1 - keep_square ** float(step))
        change += self._eps
        np.divide(mean, change, out=change)
        change *= self.param_groups[0]["lr"] / (1 - keep ** float(step))
        value -= change

    def state_dict(self) -> dict[str, dict[int, dict[str, Tensor]]]:
        """Return the running means and step counts, laid out as torch's Adam does."""
        columns = zip(self._views(self._mean), self._views(self._square), strict=True)
        return {
            "state": {
                number: {"step": self._step.clone(), "exp_avg": mean, "exp_avg_sq": square}
                for number, (mean, square) in enumerate(columns)
            }
        }

    @torch.no_grad()
    def load_state_dict(self, saved: dict[str, dict[int, dict[str, Tensor]]]) -> None:
        """Go on where a saved optimizer stood.

        Raises:
            KeyError, RuntimeError: it belongs to other parameters.
        """
        for number, own in self.state_dict()["state"].items():
            entry = saved["state"][number]
            self._step.copy_(entry["step"])
            for name in ("exp_avg", "exp_avg_sq"):
                own[name].copy_(entry[name])


@part("optimizer step")
def clip_grad_norm(gradients: list[Tensor], max_norm: float | None) -> Tensor | float:
    """Scale gradients down to a global norm, in place; returns the norm before.

    `torch.nn.utils.clip_grad_norm_` without its sorting by device and type, which takes longer
    than Adam's step does on a small network.

    Args:
        gradients: all on one device.
        max_norm: of all gradients together; None only measures.
    """
    if len(gradients) == 1 and _is_small(gradients[0]):
        g = gradients[0].numpy()
        length = math.sqrt(float(np.dot(g, g)))
        if max_norm is not None and length + 1e-6 > max_norm:
            g *= max_norm / (length + 1e-6)
        return length
    with torch.no_grad():
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if max_norm is not None:
            torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp_(max=1.0))
    return norm


def _is_small(flat: Tensor) -> bool:
    return flat.ndim == 1 and flat.numel() <= SMALL and flat.device.type == "cpu"
