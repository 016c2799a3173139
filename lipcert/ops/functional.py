"""Rows of linear functionals on a node's value: dense, or patches of a feature map."""

from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Functional:
    """Coefficients of linear functionals on the value of one node.

    Args:
        values: (rows, *shape) for most nodes. On a feature map of shape (C, H, W) the layout is
            channels last: (rows, h, w, C), the whole map or a patch of it.
        shape: the node's shape, without batch.
        origin: (rows, 2) integer top-left corner of each row's patch; None for the whole map.
            Entries of a patch that lie outside the map are zero.
    """

    values: Tensor
    shape: Shape
    origin: Tensor | None = None

    @classmethod
    def unit(cls, index: Tensor, shape: Shape, like: Tensor) -> "Functional":
        """One functional per entry of `index` (flat, natural order): that coordinate's value."""
        rows = torch.arange(len(index), device=index.device)
        if len(shape) != 3:
            size = int(torch.Size(shape).numel())
            values = like.new_zeros(len(index), size)
            values[rows, index] = 1
            return cls(values.reshape(len(index), *shape), shape)
        channels, height, width = shape
        values = like.new_zeros(len(index), 1, 1, channels)
        values[rows, 0, 0, index // (height * width)] = 1
        place = index % (height * width)
        return cls(values, shape, torch.stack([place // width, place % width], 1))

    @classmethod
    def natural(cls, values: Tensor, shape: Shape) -> "Functional":
        """From dense coefficients (rows, *shape) in the node's own axis order."""
        return cls(values.permute(0, 2, 3, 1) if len(shape) == 3 else values, shape)

    def rows(self) -> int:
        """Number of functionals."""
        return len(self.values)

    def with_values(self, values: Tensor) -> "Functional":
        """The same patches with other coefficients."""
        return Functional(values, self.shape, self.origin)

    def dense(self) -> "Functional":
        """The same functionals on the whole map."""
        if self.origin is None:
            return self
        rows, high, wide, channels = self.values.shape
        _, height, width = self.shape
        tall, broad = height + 2 * high, width + 2 * wide  # patches may stick out on every side
        corner = self.origin + self.origin.new_tensor([high, wide])
        limit = corner.new_tensor([height + high, width + wide])
        corner = corner.clamp(min=0).minimum(limit)  # a patch wholly outside is zero anyway
        down = corner[:, 0, None, None] + torch.arange(high, device=corner.device)[:, None]
        right = corner[:, 1, None, None] + torch.arange(wide, device=corner.device)
        place = (down * broad + right).reshape(rows, -1, 1).expand(-1, -1, channels)
        canvas = self.values.new_zeros(rows, tall * broad, channels)
        canvas.scatter_(1, place, self.values.reshape(rows, -1, channels))
        inner = canvas.view(rows, tall, broad, channels)
        inner = inner[:, high : high + height, wide : wide + width]
        return Functional(inner.contiguous(), self.shape)

    def in_natural_order(self) -> Tensor:
        """Dense coefficients (rows, *shape) in the node's own axis order."""
        whole = self.dense().values
        return whole.permute(0, 3, 1, 2) if len(self.shape) == 3 else whole

    def settle(self) -> "Functional":
        """Dense once a patch is no longer much smaller than its map."""
        if self.origin is None:
            return self
        _, height, width = self.shape
        small = self.values.shape[1] * self.values.shape[2] * 4 < height * width * 3
        return self if small else self.dense()

    def plus(self, other: "Functional") -> "Functional":
        """Sum of two rows of functionals on the same node, patch by patch where possible."""
        if self.origin is None or other.origin is None:
            first, second = self.dense(), other.dense()
            return first.with_values(first.values + second.values)
        shift = other.origin - self.origin
        offset = shift[0]
        if not bool((shift == offset).all()):
            first, second = self.dense(), other.dense()
            return first.with_values(first.values + second.values)
        return self._plus_shifted(other, int(offset[0]), int(offset[1]))

    def _plus_shifted(self, other: "Functional", down: int, right: int) -> "Functional":
        """Sum where every patch of `other` lies (down, right) of ours."""
        top, left = min(0, down), min(0, right)
        high = max(self.values.shape[1], down + other.values.shape[1]) - top
        wide = max(self.values.shape[2], right + other.values.shape[2]) - left
        values = self.values.new_zeros(self.rows(), high, wide, self.values.shape[3])
        for part, y, x in ((self, -top, -left), (other, down - top, right - left)):
            _, tall, broad, _ = part.values.shape
            values[:, y : y + tall, x : x + broad] += part.values
        assert self.origin is not None
        origin = self.origin + self.origin.new_tensor([top, left])
        return Functional(values, self.shape, origin)
