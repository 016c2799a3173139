"""Convolution over feature maps, with adjoints on patches."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Op

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Conv(Affine):
    """2-D cross-correlation with zero padding, one matrix product per kernel tap.

    No kernel of a library is involved, so no Winograd, FFT or Strassen: sums of products are
    direct on every device.

    Args:
        weight: (out, in / groups, kernel height, kernel width).
        bias: (out,).
        input_shape: (in, height, width).
        stride: (vertical, horizontal).
        dilation: (vertical, horizontal).
        pads: (top, left, bottom, right) zeros.
        groups: blocks of channels that do not mix.
        error: relative error of weight and bias against the true ones.
    """

    weight: Tensor
    bias: Tensor
    input_shape: Shape
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    error: float = 0.0

    def shape(self, *inputs: Shape) -> Shape:
        """(out, height, width) after padding, dilation and stride."""
        _, height, width = inputs[0]
        top, left, bottom, right = self.pads
        return (
            self.weight.shape[0],
            (height + top + bottom - self._reach()[0]) // self.stride[0] + 1,
            (width + left + right - self._reach()[1]) // self.stride[1] + 1,
        )

    def linear(self, *inputs: Tensor) -> Tensor:
        """Sum over taps of a matrix product with a shifted view."""
        (x,) = inputs
        top, left, bottom, right = self.pads
        _, high, wide = self.shape(self.input_shape)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, left, right, top, bottom))
        total: Tensor | None = None
        for y, x_tap, view in self._views(padded, high, wide):
            part = self._mix(view, y, x_tap)
            total = part if total is None else total + part
        assert total is not None
        return total.permute(0, 3, 1, 2)

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Sum over taps of a transposed product into a shifted view; patches stay patches."""
        values = functional.values
        rows, high, wide, _ = values.shape
        span = [
            (size - 1) * step + reach
            for size, step, reach in zip((high, wide), self.stride, self._reach(), strict=True)
        ]
        back = values.new_zeros(rows, span[0], span[1], self.input_shape[0])
        if back.shape[1:3] == values.shape[1:3]:
            back = self._unmix(values, 0, 0)
        else:
            for y, x, view in self._views(back, high, wide):
                self._unmix_into(view, values, y, x)
        if functional.origin is None:
            return (Functional(self._cropped(back), self.input_shape),)
        steps, pads = (functional.origin.new_tensor(v) for v in (self.stride, self.pads[:2]))
        patch = Functional(back, self.input_shape, functional.origin * steps - pads)
        return (_masked(patch).settle() if any(self.pads) else patch.settle(),)

    def coordinates(self, index: Tensor, shape: Shape, like: Tensor) -> tuple[Functional, ...]:
        """The kernel of each coordinate's channel, placed at its receptive field."""
        channels, height, width = self.input_shape
        channel, place = index // (shape[1] * shape[2]), index % (shape[1] * shape[2])
        inner, outer = self.weight.shape[1], self.weight.shape[0] // self.groups
        values = self.weight.new_zeros(len(index), *self._reach(), channels)
        view = values[:, :: self.dilation[0], :: self.dilation[1]]
        kernels = self.weight[channel].permute(0, 2, 3, 1)
        if self.groups == 1:
            view += kernels
        else:
            first = (channel // outer * inner)[:, None] + torch.arange(inner, device=index.device)
            where = first[:, None, None, :].expand(-1, *kernels.shape[1:3], -1)
            view.scatter_(3, where, kernels)
        corner = torch.stack([place // shape[2], place % shape[2]], 1)
        origin = corner * corner.new_tensor(self.stride) - corner.new_tensor(self.pads[:2])
        return (_masked(Functional(values, (channels, height, width), origin)).settle(),)

    def magnitude(self) -> "Conv":
        """Absolute weights."""
        return replace(self, weight=self.weight.abs(), bias=self.bias.abs())

    def same_form(self, other: Op) -> bool:
        """Another convolution with the same geometry."""
        return isinstance(other, Conv) and self._geometry() == other._geometry()

    def minus(self, other: Op) -> "Conv | None":
        """Difference of the weights."""
        if not isinstance(other, Conv):
            raise TypeError(f"Conv cannot subtract {type(other).__name__}")
        weight, bias = self.weight - other.weight, self.bias - other.bias
        if not bool(weight.any() or bias.any()):
            return None
        return replace(self, weight=weight, bias=bias, error=0.0)

    @property
    def terms(self) -> int:
        """Channels of a group times taps, whichever side has more."""
        outer, inner, high, wide = self.weight.shape
        return max(outer // self.groups, inner) * high * wide + 2

    @property
    def weight_error(self) -> float:
        """As given."""
        return self.error

    def constant(self, like: Tensor) -> Tensor | None:
        """The bias, per channel."""
        return self.bias[:, None, None]

    def rounded(self, relative: float) -> "Conv":
        """Adds to the error."""
        return replace(self, error=torch.finfo(torch.float64).eps + self.error + relative)

    def _geometry(self) -> tuple[object, ...]:
        shape = tuple(self.weight.shape)
        return (shape, self.input_shape, self.stride, self.dilation, self.pads, self.groups)

    def _reach(self) -> Pair:
        """Rows and columns that one application of the kernel spans."""
        high, wide = self.weight.shape[2:]
        return ((high - 1) * self.dilation[0] + 1, (wide - 1) * self.dilation[1] + 1)

    def _views(self, padded: Tensor, high: int, wide: int) -> list[tuple[int, int, Tensor]]:
        """For each tap, the strided view of `padded` that it multiplies."""
        (down, right), views = self.stride, []
        for y in range(self.weight.shape[2]):
            for x in range(self.weight.shape[3]):
                top, left = y * self.dilation[0], x * self.dilation[1]
                rows = slice(top, top + down * (high - 1) + 1, down)
                columns = slice(left, left + right * (wide - 1) + 1, right)
                views.append((y, x, padded[:, rows, columns]))
        return views

    def _mix(self, view: Tensor, y: int, x: int) -> Tensor:
        """One tap's channel mixing, (..., in) to (..., out)."""
        tap = self.weight[:, :, y, x]
        if self.groups == 1:
            return view @ tap.T
        if tap.shape[1] == 1 and tap.shape[0] == self.groups:
            return view * tap[:, 0]
        blocks = tap.view(self.groups, -1, tap.shape[1])
        return torch.einsum(
            "...gi,goi->...go", view.unflatten(-1, (self.groups, -1)), blocks
        ).flatten(-2)

    def _unmix(self, values: Tensor, y: int, x: int) -> Tensor:
        """One tap's transposed channel mixing, (..., out) to (..., in)."""
        tap = self.weight[:, :, y, x]
        if self.groups == 1:
            return values @ tap
        if tap.shape[1] == 1 and tap.shape[0] == self.groups:
            return values * tap[:, 0]
        blocks = tap.view(self.groups, -1, tap.shape[1])
        return torch.einsum(
            "...go,goi->...gi", values.unflatten(-1, (self.groups, -1)), blocks
        ).flatten(-2)

    def _unmix_into(self, view: Tensor, values: Tensor, y: int, x: int) -> None:
        """Add one tap's transposed mixing to a view; depthwise kernels in one pass."""
        tap = self.weight[:, :, y, x]
        if tap.shape[1] == 1 and tap.shape[0] == self.groups:
            view.addcmul_(values, tap[:, 0])
        else:
            view += self._unmix(values, y, x)

    def _cropped(self, back: Tensor) -> Tensor:
        """From padded to true coordinates; rows that no kernel position reached are zero."""
        top, left, _, _ = self.pads
        _, height, width = self.input_shape
        low, right = top + height - back.shape[1], left + width - back.shape[2]
        back = F.pad(back, (0, 0, 0, max(0, right), 0, max(0, low)))
        return back[:, top : top + height, left : left + width]


def _masked(patch: Functional) -> Functional:
    """Zero where a patch sticks out of its map: that part multiplies padding."""
    assert patch.origin is not None
    _, height, width = patch.shape
    _, high, wide, _ = patch.values.shape
    down = patch.origin[:, 0, None] + torch.arange(high, device=patch.origin.device)
    right = patch.origin[:, 1, None] + torch.arange(wide, device=patch.origin.device)
    rows = ((down >= 0) & (down < height)).to(patch.values)
    columns = ((right >= 0) & (right < width)).to(patch.values)
    return patch.with_values(patch.values * rows[:, :, None, None] * columns[:, None, :, None])
