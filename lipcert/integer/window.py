"""Sliding windows over maps of codes, one entry per spatial axis."""

from dataclasses import dataclass

import numpy as np

from lipcert.errors import BadFile
from lipcert.integer.encoding import Codes

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel slides.

    Args:
        kernel: taps.
        stride: steps between windows.
        dilation: steps between taps.
        before: padding in front.
        after: padding behind.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes

    def __post_init__(self) -> None:
        """Refuse what no runtime would slide."""
        rows = (self.kernel, self.stride, self.dilation, self.before, self.after)
        if not self.kernel or len({len(row) for row in rows}) != 1:
            raise BadFile("kernel, strides, dilations and pads have different numbers of axes")
        if any(v < 1 for row in rows[:3] for v in row) or any(v < 0 for r in rows[3:] for v in r):
            raise BadFile("kernel, strides and dilations must be positive, pads not negative")

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any((*self.before, *self.after))

    def patches(self, maps: Codes, filler: int) -> Codes:
        """What each window sees, padded by `filler`: (batch, *windows, *kernel, channels)."""
        rank = len(self.kernel)
        pads = [(0, 0), (0, 0), *zip(self.before, self.after, strict=True)]
        wide = np.pad(maps, pads, constant_values=filler)
        reach = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        if any(r > size for r, size in zip(reach, wide.shape[2:], strict=True)):
            raise BadFile(f"a kernel that reaches over {reach} does not fit a map {wide.shape[2:]}")
        axes = tuple(range(2, 2 + rank))
        seen = np.lib.stride_tricks.sliding_window_view(wide, reach, axis=axes)  # type: ignore[call-overload]
        every = (slice(None), slice(None))
        seen = seen[(*every, *(slice(None, None, s) for s in self.stride))]
        taps = tuple(slice(None, None, d) for d in self.dilation)
        seen = seen[(*(slice(None),) * (2 + rank), *taps)]
        return np.moveaxis(seen, 1, -1)
