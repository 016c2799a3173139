"""Softmax over the last axis, as the last layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Coupled
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(Coupled):
    """exp(x_i) / sum_j exp(x_j) on a node of one axis."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Probabilities."""
        return torch.softmax(inputs[0], -1)

    def shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        return inputs[0]

    def image(self, box: Interval) -> Interval:
        """Each probability is monotone: up in its own logit, down in every other."""
        return Interval(
            self._extreme(box.lower, box.upper, lowest=True),
            self._extreme(box.upper, box.lower, lowest=False),
        )

    def _extreme(self, own: Tensor, others: Tensor, lowest: bool) -> Tensor:
        """1 / (1 + sum over j != i of exp(others_j - own_i))."""
        gaps = others[..., None, :] - own[..., :, None]
        gaps = gaps.masked_fill(torch.eye(gaps.shape[-1], dtype=torch.bool, device=own.device), 0)
        value = torch.exp(-torch.logsumexp(gaps, -1))
        size = 1 + gaps.abs().amax(-1) + own.abs() + others.abs().amax(-1, keepdim=True)
        pad = (32 + 2 * gaps.shape[-1]) * unit_roundoff(own.dtype) * size
        bound = down(value * (1 - pad)) if lowest else up(value * (1 + pad))
        return bound.clamp(0, 1)
