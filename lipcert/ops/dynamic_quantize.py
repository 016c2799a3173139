"""DynamicQuantizeLinear and back: step and zero point follow from the range of the whole row."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, up
from lipcert.ops.kinds import Elementwise
from lipcert.sets.enclosure import Interval

MOST = 255  # codes are unsigned bytes
REAL = 2.0**-40  # relative; a float64 evaluation of step, zero point and quotient is covered
SINGLE = 2.0**-20  # relative; sixteen roundings in float32 of each of them
TINY = 2.0**-110  # beyond what a row so small that its step underflows in float32 can move by
MANY = 4  # codes from which on a band of half a step is about as good as the steps


@dataclass(frozen=True, slots=True, eq=False)
class _Scheme:
    """What rows of a box may have for step and zero point, (batch, 1, ...) each."""

    step: Interval
    zero_point: Interval


@dataclass(frozen=True, slots=True, eq=False)
class DynamicQuantize(Elementwise):
    r"""$s (\mathrm{clip}(\mathrm{round}(x / s) + z, 0, 255) - z)$, the codes of one row undone.

    With l and h the least and the greatest entry of the row, zero included,
    $s = (h - l) / 255$ and $z = \mathrm{round}(-l / s)$; a row of zeros stays as it is. Facts
    about an entry hold for every row of the box. Rows are runs of their own: batches of one.

    Args:
        slack: relative error of step, zero point and quotient as computed.

    Source:
        ONNX operators, DynamicQuantizeLinear-11.
    """

    slack: float = REAL

    def value(self, *inputs: Tensor) -> Tensor:
        """Row by row; its gradient is passed straight through."""
        x = inputs[0].detach()
        step, codes, zero = self._coded(x)
        return (step * (codes - zero)).to(x) + (inputs[0] - x)

    def executed(self, executed: bool) -> "DynamicQuantize":
        """Runtimes compute step, zero point and quotient in float32."""
        return replace(self, slack=SINGLE if executed else REAL)

    def slope(self, box: Interval) -> Interval:
        """Any: an entry moves with the range of its row, and it has steps."""
        steep = torch.full_like(box.lower, torch.inf)
        return Interval(-steep, steep)

    def image(self, box: Interval) -> Interval:
        """From the first code to the last, and at most half a step away."""
        return self._image(box, self._scheme(box))

    def slopes(self, box: Interval) -> Tensor:
        """Flat, and the identity's."""
        return torch.stack([torch.zeros_like(box.lower), torch.ones_like(box.lower)])

    def remainder(self, box: Interval, slope: Tensor) -> Interval:
        """Of the image's ends, and of a band around the identity: whichever is narrower."""
        scheme = self._scheme(box)
        image, half = self._image(box, scheme), self._half(scheme)
        whole = image.minus(_times(box, slope))
        rest = down(1 - slope), up(1 - slope)
        sides = [_times(box, part) for part in rest]
        band = Interval(-half, half).plus(sides[0].hull(sides[1]))
        return whole.intersect(band)

    def settled(self, box: Interval) -> Tensor:
        """Where one code covers the box, or many do."""
        first, last = self._codes(box, self._scheme(box))
        return (first == last) | (last - first >= MANY)

    def stored(self, box: Interval) -> tuple[Tensor, Tensor, Interval]:
        """First and last code of each entry as stored, unsigned bytes, and each row's steps."""
        scheme = self._scheme(box)
        first, last = self._steps(box, scheme)
        zero, known = scheme.zero_point, self._known(box)
        codes = self._coded(box.lower)[1].to(first)
        first = torch.where(known, codes, (first + zero.lower).clamp(0, MOST))
        return first, torch.where(known, codes, (last + zero.upper).clamp(0, MOST)), scheme.step

    def _coded(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Steps, codes and zero points, in float64, of rows as they are.

        Codes of float32 entries are right to the bit: as runtimes compute them in float32, or of
        exact reals, whose quotients $255 x / (h - l)$ are rounded once, and ties not at all.
        """
        single = self.slack == SINGLE
        x = x.float() if single else x.double()
        least, most = _range(x)
        width = most - least
        width = torch.where(width > 0, width, torch.full_like(width, MOST))
        step = width / MOST
        zero, codes = (torch.round(v / step if single else MOST * v / width) for v in (-least, x))
        zero = zero.clamp(0, MOST)
        return step.double(), (codes + zero).clamp(0, MOST).double(), zero.double()

    def _known(self, box: Interval) -> Tensor:
        """Rows, (batch, 1, ...), that are one point of float32 entries and, in reals, range."""
        point = (box.lower == box.upper) & (box.lower.float() == box.lower)
        least, most = _range(box.lower.double())
        width = most - least
        whole = point.reshape(len(point), -1).all(1).view(_column(point))
        return whole & ((width.float() == width) | (self.slack == SINGLE))

    def _scheme(self, box: Interval) -> _Scheme:
        """From the ends of the least and of the greatest entry; nothing by nothing is zero."""
        least, most = zip(*(_range(end) for end in (box.lower, box.upper)), strict=True)
        ends = down(most[0] - least[1]).clamp(min=0), up(most[1] - least[0])
        step = Interval(
            down(down(ends[0] / MOST) * (1 - 2 * self.slack)).clamp(min=0),
            up(up(ends[1] / MOST) * (1 + 2 * self.slack)),
        )
        first = down(-least[1] / up(most[1] - least[1])).nan_to_num(0.0)
        last = up(-least[0] / down(most[0] - least[0])).nan_to_num(0.0, posinf=1.0)
        loose = 256 * self.slack
        zero_point = Interval(
            torch.ceil(down(MOST * first) - loose - 0.5).clamp(0, MOST),
            torch.floor(up(MOST * last) + loose + 0.5).clamp(0, MOST),
        )
        return _Scheme(step, zero_point)

    def _codes(self, box: Interval, scheme: _Scheme) -> tuple[Tensor, Tensor]:
        """First and last code, less the zero point, of each entry."""
        zero, (first, last) = scheme.zero_point, self._steps(box, scheme)
        first = torch.maximum(torch.minimum(first, MOST - zero.upper), -zero.upper)
        last = torch.maximum(torch.minimum(last, MOST - zero.lower), -zero.lower)
        _, stored, own = self._coded(box.lower)
        known, codes = self._known(box), (stored - own).to(first)
        return torch.where(known, codes, first), torch.where(known, codes, last)

    def _steps(self, box: Interval, scheme: _Scheme) -> tuple[Tensor, Tensor]:
        """First and last whole number of steps, not clipped."""
        step = scheme.step
        low = down(box.lower / torch.where(box.lower < 0, step.lower, step.upper))
        high = up(box.upper / torch.where(box.upper < 0, step.upper, step.lower))
        loose = 256 * self.slack + 0.5
        return torch.ceil(down(_number(low) - loose)), torch.floor(up(_number(high) + loose))

    def _image(self, box: Interval, scheme: _Scheme) -> Interval:
        first, last = self._codes(box, scheme)
        step, half = scheme.step, self._half(scheme)
        low = down(first * torch.where(first < 0, step.upper, step.lower))
        high = up(last * torch.where(last < 0, step.lower, step.upper))
        reached = Interval(down(low - TINY), up(high + TINY)).known()
        return reached.intersect(Interval(down(box.lower - half), up(box.upper + half)))

    def _half(self, scheme: _Scheme) -> Tensor:
        r"""Bound on |value - x|: half a step, clipping included.

        Unclipped codes lie within half a step of $x / s$. Where a code is clipped to $-z$, x lies
        below it and above l, and $-z$ is at most half a step above $l / s$; likewise at h. What
        is rounded on the way moves code and zero point by fewer than 512 slacks of a step.
        """
        return up(up(scheme.step.upper * (0.5 + 1024 * self.slack)) + TINY)


def _range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest entry of each row, zero included, (batch, 1, ...)."""
    rows, shape = x.reshape(len(x), -1), _column(x)
    return rows.amin(1).clamp(max=0).view(shape), rows.amax(1).clamp(min=0).view(shape)


def _column(x: Tensor) -> tuple[int, ...]:
    """Shape of one number per row."""
    return (len(x), *[1] * (x.ndim - 1))


def _number(quotient: Tensor) -> Tensor:
    """Nothing by nothing is zero; what is infinite stays."""
    return quotient.masked_fill(quotient.isnan(), 0.0)


def _times(box: Interval, slope: Tensor) -> Interval:
    """Products of a slope with the members of a box."""
    ends = slope * box.lower, slope * box.upper
    return Interval(down(torch.minimum(*ends)), up(torch.maximum(*ends)))
