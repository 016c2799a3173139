"""Sum and difference of branches."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Op
from lipcert.ops.routing import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Add(Routing):
    """sum of sign_i x_i over branches of one shape; the signs are 1 or -1."""

    signs: tuple[int, ...] = (1, 1)

    def shape(self, *inputs: Shape) -> Shape:
        """The common shape."""
        return inputs[0]

    def linear(self, *inputs: Tensor) -> Tensor:
        """Signed sum, left to right."""
        total = inputs[0] if self.signs[0] > 0 else -inputs[0]
        for sign, x in zip(self.signs[1:], inputs[1:], strict=True):
            total = total + x if sign > 0 else total - x
        return total

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """The functional itself, signed, for every branch."""
        flipped = functional.with_values(-functional.values)
        return tuple(functional if sign > 0 else flipped for sign in self.signs)

    def magnitude(self) -> "Add":
        """All signs positive."""
        return Add((1,) * len(self.signs))

    def same_form(self, other: Op) -> bool:
        """The same signs."""
        return isinstance(other, Add) and other.signs == self.signs

    @property
    def exact(self) -> bool:
        """Sums are rounded."""
        return False

    @property
    def terms(self) -> int:
        """One per branch."""
        return len(self.signs) + 2
