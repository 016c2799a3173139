r"""Planes for the difference of two activations at one neuron.

`D = sigma_g(y) - sigma_f(z)` with `delta = y - z` is bounded by planes in (delta, z):

    D >= s delta + t z + c

Every candidate's intercept is proved for its slopes, so any choice among them is sound; per neuron
the plane that is highest in the middle of the enclosures wins, with some weight on its least value
there (BOUNDS.md section 2).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.hull import Activation, cornered
from lipcert.methods.tried import Tried, lines_of
from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Elementwise, Lines
from lipcert.ops.piecewise import PiecewiseLinear
from lipcert.ops.quantize import Quantize
from lipcert.sets.enclosure import Interval, Twin


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """`along_drift * delta + along_original * z + intercept`, per neuron."""

    along_drift: Tensor
    along_original: Tensor
    intercept: Tensor

    def negated(self) -> "Plane":
        """Turns a plane below -D into one above D."""
        return Plane(-self.along_drift, -self.along_original, -self.intercept)

    def least(self, twin: Twin) -> Tensor:
        """Lower bound of the plane over the enclosures of delta and z."""
        drift = _least_product(self.along_drift, twin.drift)
        original = _least_product(self.along_original, twin.original)
        return down(down(drift + original) + self.intercept)


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """Proved planes below and above D, lines for sigma_f, and a box for D."""

    below: Plane
    above: Plane
    original: Lines
    image: Interval


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """What bounds D from below: of g its lower line, of f its upper line, and so on.

    The same facts negated, with f and g in each other's place, bound D from above.
    """

    line: tuple[Tensor, Tensor]
    other: tuple[Tensor, Tensor]
    sector: Interval | None
    gap: Tensor
    step: Tensor
    value: Tensor
    sign: float


def coupling(f: Elementwise | None, g: Elementwise | None, twin: Twin, *, alike: bool) -> Coupling:
    """Best planes of the difference of two activations; None stands for the identity.

    Args:
        f: of the original network.
        g: of the compressed network.
        twin: enclosures of what they read.
        alike: whether they are one function, before any rounding of their parameters.
    """
    corners = cornered(f, g)
    if corners is not None and (isinstance(f, Quantize) or isinstance(g, Quantize)):
        return _by_hull(*corners, twin)
    z, y = twin.original, twin.compressed
    f_lines, g_lines = lines_of(f, z), lines_of(g, y)
    one = torch.ones_like(z.lower)
    f_step, g_step = _remainder(f, z, one), _remainder(g, y, one)
    step, values = g_step.minus(f_step), _image(g, y).minus(_image(f, z))
    gap = Interval.point(torch.zeros_like(one)) if alike else _gap(f, g, y)
    sector = f.slope(z.hull(y)) if f is not None and gap is not None else None
    if sector is not None and not bool(sector.upper.isfinite().all()):
        sector = None
    gap = gap or Interval.point(torch.zeros_like(one))
    lower = _Side(
        (g_lines.lower_slope, g_lines.lower_intercept),
        (f_lines.upper_slope, f_lines.upper_intercept),
        sector,
        gap.lower,
        step.lower,
        values.lower,
        1.0,
    )
    flipped = sector and Interval(-sector.upper, -sector.lower)
    upper = _Side(
        (-g_lines.upper_slope, -g_lines.upper_intercept),
        (-f_lines.lower_slope, -f_lines.lower_intercept),
        flipped,
        -gap.upper,
        -step.upper,
        -values.upper,
        -1.0,
    )
    below, above = _best(lower, twin), _best(upper, twin)
    image = values.intersect(Interval(below.least(twin), -above.least(twin)))
    return Coupling(below, above.negated(), f_lines, image)


def _by_hull(f: Activation, g: Activation, twin: Twin) -> Coupling:
    """With exact intercepts, which staircases profit from."""
    tried, one = Tried.of(f, g, twin), torch.ones_like(twin.drift.lower)
    below, above = Plane(*tried.best(one, -one)), Plane(*tried.best(-one, one))
    values = _image(g, twin.compressed).minus(_image(f, twin.original))
    image = values.intersect(Interval(below.least(twin), -above.least(twin)))
    return Coupling(below, above.negated(), lines_of(f, twin.original), image)


def _best(side: _Side, twin: Twin) -> Plane:
    """Per neuron the candidate with the highest score; the earlier one wins ties."""
    best: Plane | None = None
    score = twin.drift.lower
    for plane in _planes(side, twin):
        here = _score(plane, twin)
        if best is None:
            best, score = plane, here
            continue
        wins = here > score
        score = torch.where(wins, here, score)
        best = Plane(
            torch.where(wins, plane.along_drift, best.along_drift),
            torch.where(wins, plane.along_original, best.along_original),
            torch.where(wins, plane.intercept, best.intercept),
        )
    assert best is not None
    return best


def _score(plane: Plane, twin: Twin) -> Tensor:
    """Measured on 8-bit MNIST: the middle alone and this mix are equal, the least value worse."""
    middle = plane.along_drift * twin.drift.centre + plane.along_original * twin.original.centre
    return 0.75 * (middle + plane.intercept) + 0.25 * plane.least(twin)


def _planes(side: _Side, twin: Twin) -> Iterator[Plane]:
    """Candidates: difference form, separate form, unit slope, constant."""
    zero = torch.zeros_like(twin.drift.lower)
    one = zero + side.sign
    if side.sector is not None:
        yield _chord_below(side.sector, twin.drift, side.gap)
    (slope, intercept), (other, above) = side.line, side.other
    along = slope - other
    slip = 4 * unit_roundoff(zero.dtype) * (slope.abs() + other.abs()) * twin.original.magnitude()
    yield Plane(slope, along, down(down(intercept - above) - up(slip)))
    yield Plane(one, zero, side.step)
    yield Plane(zero, zero, side.value)


def _chord_below(sector: Interval, drift: Interval, gap: Tensor) -> Plane:
    """Chord of what difference quotients in `sector` allow: concave in delta.

    For each delta the least product is `min(sector.lower delta, sector.upper delta)`; the chord
    between the ends of the enclosure lies below it.
    """
    left = torch.minimum(sector.lower * drift.lower, sector.upper * drift.lower)
    right = torch.minimum(sector.lower * drift.upper, sector.upper * drift.upper)
    width = drift.upper - drift.lower
    slope = torch.where(width > 0, (right - left) / width, sector.lower)
    slope = torch.where(slope.isfinite(), slope, sector.lower)
    ends = torch.minimum(left - slope * drift.lower, right - slope * drift.upper)
    steep = torch.maximum(sector.lower.abs(), sector.upper.abs()) + slope.abs()
    pad = 4 * unit_roundoff(slope.dtype) * steep * drift.magnitude()
    return Plane(slope, torch.zeros_like(slope), down(down(ends - up(pad)) + gap))


def _gap(f: Elementwise | None, g: Elementwise | None, y: Interval) -> Interval | None:
    """Box of `sigma_g(y) - sigma_f(y)` where it is extreme at knots; None elsewhere."""
    if not (isinstance(f, PiecewiseLinear) and isinstance(g, PiecewiseLinear)):
        return None
    points = [y.lower, *f.knots(y.lower), *g.knots(y.lower), y.upper]
    values = torch.stack([g.value(x) - f.value(x) for x in map(y.clamp, points)])
    pad = f.pad(y, torch.zeros_like(y.lower)) + g.pad(y, torch.zeros_like(y.lower))
    return Interval(down(values.amin(0) - pad), up(values.amax(0) + pad))


def _image(op: Elementwise | None, box: Interval) -> Interval:
    return box if op is None else op.image(box)


def _remainder(op: Elementwise | None, box: Interval, slope: Tensor) -> Interval:
    """Box of `sigma(x) - slope x`; zero for the identity, whose slope is one."""
    if op is None:
        return Interval.point(torch.zeros_like(slope))
    return op.remainder(box, slope)


def _least_product(slope: Tensor, box: Interval) -> Tensor:
    return down(torch.minimum(slope * box.lower, slope * box.upper))
