"""Transpose."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Op
from lipcert.ops.routing import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Transpose(Routing):
    """Axes in another order: output axis k is input axis `order[k]`; no batch axis here."""

    order: tuple[int, ...]

    def shape(self, *inputs: Shape) -> Shape:
        """Permuted."""
        return tuple(inputs[0][axis] for axis in self.order)

    def linear(self, *inputs: Tensor) -> Tensor:
        """A view."""
        return inputs[0].permute(0, *(axis + 1 for axis in self.order))

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """The inverse permutation."""
        inverse = [self.order.index(axis) for axis in range(len(self.order))]
        values = functional.in_natural_order().permute(0, *(axis + 1 for axis in inverse))
        shape = tuple(functional.shape[axis] for axis in inverse)
        return (Functional.natural(values, shape),)

    def same_form(self, other: Op) -> bool:
        """The same order."""
        return isinstance(other, Transpose) and other.order == self.order
