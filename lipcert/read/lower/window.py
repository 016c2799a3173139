"""Sliding windows of convolution and pooling, one entry per spatial axis."""

from dataclasses import dataclass, replace

from lipcert.errors import BadFile, UnsupportedOp

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
        ceil: whether a last window may stick out behind.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes
    ceil: bool = False

    def __post_init__(self) -> None:
        """Refuse what no runtime would slide."""
        rows = (self.kernel, self.stride, self.dilation, self.before, self.after)
        if len({len(row) for row in rows}) != 1:
            raise BadFile("kernel, strides, dilations and pads have different numbers of axes")
        if len(self.kernel) not in (1, 2):
            raise UnsupportedOp(f"slides over {len(self.kernel)} axes; only one and two are read")
        if any(v < 1 for row in rows[:3] for v in row):
            raise BadFile("kernel, strides and dilations must be positive")
        if any(v < 0 for row in rows[3:] for v in row):
            raise UnsupportedOp("has negative pads")

    def reach(self) -> Sizes:
        """Entries from the first tap to the last."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def missing(self, sizes: Sizes) -> Sizes:
        """How many entries an axis lacks for ceil(size / stride) windows; below zero: has over."""
        axes = zip(sizes, self.stride, self.reach(), strict=True)
        return tuple((-(-size // step) - 1) * step + reach - size for size, step, reach in axes)

    def outputs(self, sizes: Sizes) -> Sizes:
        """Windows per axis over a map of these sizes.

        With `ceil`, a window that would start behind the map and its front padding is dropped.
        """
        counts: list[int] = []
        for axis, (size, reach) in enumerate(zip(sizes, self.reach(), strict=True)):
            room = size + self.before[axis] + self.after[axis] - reach
            if room < 0:
                raise BadFile(f"kernel reaches over {reach} entries of a padded axis of {size}")
            step = self.stride[axis]
            count = (-(-room // step) if self.ceil else room // step) + 1
            if self.ceil and (count - 1) * step >= size + self.before[axis]:
                count -= 1
            counts.append(count)
        return tuple(counts)

    def taps(self, axis: int, count: int) -> list[list[int]]:
        """For each of `count` windows, where its taps lie along an axis of the unpadded map."""
        step, gap, start = self.stride[axis], self.dilation[axis], self.before[axis]
        places = range(self.kernel[axis])
        return [[o * step + i * gap - start for i in places] for o in range(count)]

    def filled(self, sizes: Sizes) -> "Window":
        """Without `ceil`: what sticks out becomes padding behind; never less than before."""
        after = list(self.after)
        for axis, count in enumerate(self.outputs(sizes)):
            end = (count - 1) * self.stride[axis] + self.reach()[axis]
            after[axis] = max(after[axis], end - sizes[axis] - self.before[axis])
        return replace(self, after=tuple(after), ceil=False)

    def lifted(self) -> "Window":
        """Over two axes: a one-dimensional window gets a second axis of one entry."""
        if len(self.kernel) == 2:
            return self
        return Window(
            (*self.kernel, 1),
            (*self.stride, 1),
            (*self.dilation, 1),
            (*self.before, 0),
            (*self.after, 0),
            self.ceil,
        )


def same_padding(window: Window, sizes: Sizes, upper: bool) -> Window:
    """ONNX's auto_pad SAME, with ceil(size / stride) outputs.

    Of an odd number of pads one more lies behind (upper) or in front.
    """
    before: list[int] = []
    after: list[int] = []
    for total in (max(lacks, 0) for lacks in window.missing(sizes)):
        front = total // 2 if upper else total - total // 2
        before.append(front)
        after.append(total - front)
    return replace(window, before=tuple(before), after=tuple(after))
