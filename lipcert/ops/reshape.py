"""Reshape, Flatten, Squeeze, Unsqueeze."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Op
from lipcert.ops.routing import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(Routing):
    """The same values under another shape, in row-major order."""

    before: Shape
    after: Shape

    def shape(self, *inputs: Shape) -> Shape:
        """As given."""
        return self.after

    def linear(self, *inputs: Tensor) -> Tensor:
        """A view."""
        return inputs[0].reshape(-1, *self.after)

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """The view undone."""
        values = functional.in_natural_order().reshape(-1, *self.before)
        return (Functional.natural(values, self.before),)

    def same_form(self, other: Op) -> bool:
        """The same shapes."""
        return isinstance(other, Reshape) and (self.before, self.after) == (
            other.before,
            other.after,
        )
