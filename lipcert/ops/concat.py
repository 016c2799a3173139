"""Concatenation of branches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Op
from lipcert.ops.routing import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Concat(Routing):
    """Branches one behind the other along `axis` (batch not counted).

    Args:
        axis: where they are joined.
        sizes: each branch's extent along the axis.
    """

    axis: int
    sizes: tuple[int, ...]

    def shape(self, *inputs: Shape) -> Shape:
        """The axis has the sizes' sum."""
        first = inputs[0]
        return (*first[: self.axis], sum(self.sizes), *first[self.axis + 1 :])

    def linear(self, *inputs: Tensor) -> Tensor:
        """Joined."""
        return torch.cat(inputs, self.axis + 1)

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Cut apart; channels of patches stay patches."""
        if functional.origin is not None and self.axis == 0:
            parts = functional.values.split(self.sizes, 3)
            rest = functional.shape[1:]
            return tuple(
                Functional(part, (part.shape[3], *rest), functional.origin) for part in parts
            )
        parts = functional.in_natural_order().split(self.sizes, self.axis + 1)
        return tuple(Functional.natural(part, tuple(part.shape[1:])) for part in parts)

    def same_form(self, other: Op) -> bool:
        """The same cut."""
        return isinstance(other, Concat) and (self.axis, self.sizes) == (other.axis, other.sizes)
