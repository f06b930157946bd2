"""A policy: a body that reads observations, a head, and the action distribution it feeds.

It acts (NumPy in, NumPy out) and it gives its outlook on a batch (torch, with gradient). It does
not learn; `update` does that.
"""

import copy
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grpo_cli.clock import part
from grpo_cli.distributions import Family, Outlook
from grpo_cli.errors import EnvError
from grpo_cli.observations import MASK, Reading
from grpo_cli.policies.acting import Acts, Recall, choose
from grpo_cli.policies.fused import layers, perceptron
from grpo_cli.policies.mlp import Mlp, NumpyMlp, slope
from grpo_cli.policies.normaliser import Normalises
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Batch, Ints, Obs, each, pieces, stacked, tensors

WHOLE = Reading()
FORBIDDEN = -1e8  # logit of an action that the mask excludes; finite, so that 0 * log 0 is 0


class Policy(nn.Module):
    """Body, head and distribution.

    Args:
        body: observations [B, *O] -> features [B, F]; one with `memory_size` numbers of memory
            takes (observations, lengths of the members in rows) instead, and has
            `step(observations, memory) -> (features, memory)`.
        num_features: F.
        family: the action distribution.
        log_std: start of the family's free parameters, such as a Gaussian's log-stds.
        normaliser: what observations go through first, or None.
        reading: what of an observation is read, and whether it holds a mask of the actions.
    """

    def __init__(
        self,
        body: nn.Module,
        num_features: int,
        family: Family,
        log_std: float = 0.0,
        normaliser: Normalises | None = None,
        reading: Reading = WHOLE,
    ) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.body = body
        self.head = nn.Linear(num_features, family.num_outputs)
        self.free = (
            nn.Parameter(torch.full((family.num_free,), float(log_std)))
            if family.num_free
            else None
        )
        self.family = family
        self.reading = reading
        self.memory_size = int(getattr(body, "memory_size", 0))
        self._layers = layers(body, self.head) if isinstance(body, Mlp) else ()
        self._numpy: NumpyMlp | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the NumPy twin behind: in a copy its views would show the original's weights."""
        return {**self.__dict__, "_numpy": None}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.head.weight.device

    def frozen(self) -> "Policy":
        """Return a copy as it is now, that learns nothing."""
        return copy.deepcopy(self).requires_grad_(False)

    @property
    def by_member(self) -> bool:
        """It must be shown whole members, for it remembers what came before."""
        return self.memory_size > 0

    def forward(self, obs: Obs, lengths: Sequence[int] = ()) -> Tensor:
        """Observations -> distribution parameters.

        Args:
            obs: [B, *O].
            lengths: rows of each member, whose sum is B; needed by a policy that remembers.

        Returns:
            [B, P].
        """
        obs = stacked(obs)
        seen = self._seen(obs)
        if self.by_member:
            if not lengths:
                raise ValueError("a policy that remembers reads whole members")
            outputs = self.head(self.body(seen, lengths))
        elif self._layers and self.device.type == "cpu":
            outputs = perceptron(self.body.flat(seen), self._layers)  # type: ignore[operator]
        else:
            outputs = self.head(self.body(seen))
        return self._params(outputs, obs)

    def _seen(self, obs: Obs) -> Any:  # noqa: ANN401 - tensors
        read = self.reading.of(obs)
        return read if self.normaliser is None else self.normaliser(read)

    def _params(self, outputs: Tensor, obs: Any) -> Tensor:  # noqa: ANN401 - `Obs`
        if self.reading.masked:
            outputs = outputs.masked_fill(obs[MASK] == 0, FORBIDDEN)
        if self.free is None:
            return outputs
        return torch.cat([outputs, self.free.expand(outputs.shape[0], -1)], dim=1)

    def observe(self, obs: Obs, ranks: Ranks = ALONE) -> None:
        """Let the normaliser, where there is one, learn from every rank's observations [N, *O]."""
        if self.normaliser is not None:
            read = self.reading.of(obs)
            parts = pieces(read)
            most = int(ranks.max(np.array([len(parts)]))[0])
            for piece in [*parts, *[each(read, lambda e: e[:0])] * (most - len(parts))]:
                moved = each(stacked(piece), lambda e: e.to(self.device))
                self.normaliser.observe(moved, ranks)  # type: ignore[arg-type]

    @part("forward and loss")
    def outlook(self, batch: Batch) -> Outlook:
        """Return what the policy now thinks of a batch, with gradient."""
        params = self(batch.obs, batch.lengths)
        return Outlook(self.family, params, self.family.logprob(params, batch.action))

    @property
    def is_written_out(self) -> bool:
        """It can do without torch; see `traced`."""
        return self._twin() is not None

    def traced(self, obs: Obs) -> tuple[NDArray[np.float32], Callable[[NDArray], None]]:
        """Do what `forward` does, in NumPy; for a policy that `is_written_out`.

        Args:
            obs: [B, *O].

        Returns:
            Distribution parameters [B, P], and a function that takes their gradient [B, P] and sets
            the gradients of what is learned.
        """
        twin = self._twin()
        if twin is None:
            raise RuntimeError("this policy is not written out")
        arrays = each(stacked(obs), methodcaller("numpy"))
        outputs, seen = twin.traced(self.reading.of(arrays))

        def back(g: NDArray) -> None:
            split = self.family.num_outputs
            twin.backward(g[:, :split], seen)
            if self.free is not None:
                g[:, split:].sum(axis=0, out=slope(self.free))

        return self._params_numpy(outputs, arrays), back

    def act(
        self,
        obs: NDArray,
        noise: NDArray[np.float64] | None,
        member: Ints | None = None,
        greedy: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions without a memory; see `Acts`."""
        return choose(self.family, self.params(obs), noise, greedy)

    def acting(self) -> Acts:
        """Return who acts for members that all start now.

        Another device would be waited for in every step, for a network that NumPy is done with
        sooner: it is waited for once, for a copy of the weights.
        """
        if self.by_member:
            return Recall(self)
        if self.device.type != "cpu" and isinstance(self.body, Mlp):
            return copy.deepcopy(self).cpu().act
        return self.act

    @part("forward")
    def params(self, obs: NDArray) -> NDArray[np.float32]:
        """Return distribution parameters without gradient, [B, P].

        Raises:
            EnvError: a mask allows no action.
        """
        self._check_mask(obs)
        twin = self._twin()
        if twin is not None:
            return self._params_numpy(twin(self.reading.of(obs)), obs)
        with torch.inference_mode():
            return self(self._moved(obs)).float().cpu().numpy()

    def _twin(self) -> NumpyMlp | None:
        """Return what does the same in NumPy, where something does."""
        if self._numpy is None or self._numpy.is_stale:
            follows = isinstance(self.body, Mlp) and self._follows()
            self._numpy = NumpyMlp(self.body, self.head, self.normaliser) if follows else None  # type: ignore[arg-type]
        return self._numpy

    def _params_numpy(self, outputs: NDArray[np.float32], obs: Any) -> NDArray[np.float32]:  # noqa: ANN401
        if self.reading.masked:
            outputs[obs[MASK] == 0] = FORBIDDEN
        if self.free is None:
            return outputs
        free = np.broadcast_to(self.free.detach().numpy(), (len(outputs), self.family.num_free))
        return np.concatenate([outputs, free], axis=1)

    def _check_mask(self, obs: NDArray) -> None:
        if self.reading.masked and not obs[MASK].any(axis=1).all():
            raise EnvError(
                "the environment's action_mask allows no action in a state that goes on",
                "end the episode there, or allow an action",
            )

    def _moved(self, obs: NDArray) -> Obs:
        return each(tensors(obs), lambda entry: entry.to(self.device))

    def _follows(self) -> bool:
        return NumpyMlp.fits(self.body, self.head)

    @part("forward")
    @torch.inference_mode()
    def step(self, obs: NDArray, memory: Tensor) -> tuple[NDArray[np.float32], Tensor]:
        """Go on by one step.

        Args:
            obs: [B, *O].
            memory: of what came before, [B, memory_size]; zeros at a start.

        Returns:
            Distribution parameters [B, P], and the memory after it.

        Raises:
            EnvError: a mask allows no action.
        """
        self._check_mask(obs)
        moved = self._moved(obs)
        features, memory = self.body.step(self._seen(moved), memory)  # type: ignore[operator]
        return self._params(self.head(features), moved).float().cpu().numpy(), memory
