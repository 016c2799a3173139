"""Select coordinates along one axis: Slice, Gather, the shifted views of max-pooling."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Op
from lipcert.ops.routing import Routing


@dataclass(frozen=True, slots=True, eq=False)
class Select(Routing):
    """Coordinates `index` along `axis` (batch not counted), repeats allowed."""

    axis: int
    index: tuple[int, ...]
    size: int

    def shape(self, *inputs: Shape) -> Shape:
        """The axis has as many coordinates as the index."""
        before = inputs[0]
        return (*before[: self.axis], len(self.index), *before[self.axis + 1 :])

    def linear(self, *inputs: Tensor) -> Tensor:
        """Gather."""
        (x,) = inputs
        return x.index_select(self.axis + 1, torch.tensor(self.index, device=x.device))

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Scatter-add."""
        values = functional.in_natural_order()
        shape = (*functional.shape[: self.axis], self.size, *functional.shape[self.axis + 1 :])
        back = values.new_zeros(len(values), *shape)
        back.index_add_(self.axis + 1, torch.tensor(self.index, device=values.device), values)
        return (Functional.natural(back, shape),)

    def same_form(self, other: Op) -> bool:
        """The same selection."""
        return isinstance(other, Select) and (self.axis, self.index) == (other.axis, other.index)

    @property
    def terms(self) -> int:
        """Most repeats of one coordinate."""
        return max(self.index.count(i) for i in set(self.index)) + 2
