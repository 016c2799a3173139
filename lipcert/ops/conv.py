"""Convolution over feature maps, with adjoints on patches."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Op

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Conv(Affine):
    """2-D cross-correlation with zero padding, by matrix products of unfolded windows or of taps.

    No convolution kernel of a library is involved, so no Winograd, FFT or Strassen: sums of
    products are direct on every device.

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
        """Products of the kernels with unfolded windows; depthwise, sums over shifted views."""
        (x,) = inputs
        top, left, bottom, right = self.pads
        channels, high, wide = self.shape(self.input_shape)
        padded = F.pad(x, (left, right, top, bottom)) if any(self.pads) else x
        if self._depthwise():
            last = padded.permute(0, 2, 3, 1)
            parts = [view * tap[:, 0] for tap, view in self._views(last, high, wide)]
            return functools.reduce(torch.add, parts).permute(0, 3, 1, 2)
        windows = F.unfold(padded, self.weight.shape[2:], self.dilation, 0, self.stride)
        mixed = self._blocks() @ windows.unflatten(1, (self.groups, -1))
        return mixed.view(-1, channels, high, wide)

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Transposed products, each added where its tap reaches; patches stay patches."""
        back = self._transposed(functional.values)
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

    def _depthwise(self) -> bool:
        """Whether every channel has one kernel of its own."""
        return self.weight.shape[:2] == (self.groups, 1)

    def _blocks(self) -> Tensor:
        """Kernels of each group as a matrix, (groups, out / groups, in / groups x taps)."""
        return self.weight.reshape(self.groups, self.weight.shape[0] // self.groups, -1)

    def _views(self, padded: Tensor, high: int, wide: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Each tap, (out, in / groups), and the strided view of `padded` that it multiplies."""
        down, right = self.stride
        taps = self.weight.permute(2, 3, 0, 1).contiguous()
        for y, row in enumerate(taps.unbind()):
            top = y * self.dilation[0]
            band = padded[:, top : top + down * (high - 1) + 1 : down]
            for x, tap in enumerate(row.unbind()):
                left = x * self.dilation[1]
                yield tap, band[:, :, left : left + right * (wide - 1) + 1 : right]

    def _transposed(self, values: Tensor) -> Tensor:
        """(rows, h, w, out) to (rows, larger h, larger w, in): what every output entry reads."""
        rows, high, wide, _ = values.shape
        reach = self._reach()
        span = ((high - 1) * self.stride[0] + reach[0], (wide - 1) * self.stride[1] + reach[1])
        if self.groups > 1 and not self._depthwise():
            split = values.reshape(rows, high * wide, self.groups, -1).permute(0, 2, 3, 1)
            windows = (self._blocks().mT @ split).flatten(1, 2)
            size = self.weight.shape[2:]
            back = F.fold(windows, span, size, self.dilation, 0, self.stride)
            return back.permute(0, 2, 3, 1)
        if span == (high, wide) and self.groups == 1:
            return values @ self.weight[:, :, 0, 0]
        back = values.new_zeros(rows, *span, self.input_shape[0])
        depthwise = self._depthwise()
        for tap, view in self._views(back, high, wide):
            if depthwise:
                view.addcmul_(values, tap[:, 0])
            else:
                view.add_(values @ tap)
        return back

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
    rows, columns = (down >= 0) & (down < height), (right >= 0) & (right < width)
    inside = rows[:, :, None] & columns[:, None, :]
    return patch.with_values(patch.values * inside[..., None].to(patch.values))
