"""What the operations that only move values about have in common: no weight, no constant."""

from typing import Self

from torch import Tensor

from lipcert.ops.kinds import Affine, Op


class Routing(Affine):
    """Every output coordinate is a sum of a few signed input coordinates."""

    __slots__ = ()

    def magnitude(self) -> Self:
        """Routing has unit weights already."""
        return self

    def minus(self, other: Op) -> Affine | None:
        """Two routings of one form are equal."""
        if not self.same_form(other):
            raise TypeError(f"{type(self).__name__} cannot subtract {type(other).__name__}")
        return None

    @property
    def exact(self) -> bool:
        """Values are moved about, unless an operation says otherwise."""
        return True

    @property
    def terms(self) -> int:
        """A coordinate is read once or a few times."""
        return 4

    def constant(self, like: Tensor) -> Tensor | None:
        """None."""
        return None
