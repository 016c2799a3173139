"""The regions of a certificate; what follows over one of them, and at single inputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.certificate.claim import BallRegion, BoxRegion, RegionModel
from lipcert.certificate.evidence import SlopeEvidence
from lipcert.check import softmax
from lipcert.check.derive import Derivation
from lipcert.check.operation import TINY, UNIT, Array, Ball, Box, affine_image, down, meet, up
from lipcert.check.reader import INPUT, Steps, hold

Arrays = Mapping[str, Array]
CHUNK = 64  # inputs that are evaluated at once


@dataclass(frozen=True)
class Regions:
    """A box (batch, *shape) around each row's inputs; the step of a grid, or a ball, in it."""

    lower: Array
    upper: Array
    step: float | None = None
    around: tuple[Array, float] | None = None

    @classmethod
    def of(cls, claim: RegionModel, arrays: Arrays) -> "Regions":
        """As claimed; the claim's own batch and radius are held against the arrays."""
        if isinstance(claim, BallRegion):
            return cls.balls(claim, arrays[claim.centre])
        if isinstance(claim, BoxRegion):
            first, last = arrays[claim.lower], arrays[claim.upper]
            made, unit, fine = cls(first, last), 1.0, True
        else:
            first, last, unit = arrays[claim.first], arrays[claim.last], claim.step
            made = cls(down(first * unit), up(last * unit), unit)
            fine = unit > 0 and all((np.round(end) == end).all() for end in (first, last))
        fine &= first.shape == last.shape and len(first) == claim.batch > 0
        radius = float((last - first).max()) * unit / 2
        fine &= abs(claim.radius - radius) <= 1e-9 * max(radius, made.step or 0.0)
        hold(fine and (first <= last).all(), "regions that are empty, or not as large as claimed")
        return made

    @classmethod
    def balls(cls, claim: BallRegion, centre: Array) -> "Regions":
        """As claimed; centres lie in the range that balls are cut to."""
        low, high = claim.clip or (-np.inf, np.inf)
        lower, upper = down(centre - claim.radius), up(centre + claim.radius)
        fine = len(centre) == claim.batch > 0 and ((low <= centre) & (centre <= high)).all()
        hold(fine and claim.radius >= 0, "balls that are empty, or outside of their range")
        cut = np.maximum(lower, low), np.minimum(upper, high)
        return cls(*cut, around=(centre, claim.radius))

    def ball(self, row: int) -> Ball | None:
        """Centre (entries, 1) and radius of a row's ball."""
        return self.around and (self.around[0][row].reshape(-1, 1), self.around[1])

    def inside(self, row: int, x: Array) -> bool:
        """Whether an input certainly is a member of a row's region."""
        fine = (self.lower[row] <= x) & (x <= self.upper[row])
        if self.step is not None:
            fine &= np.round(x / self.step) * self.step == x
        if self.around is not None:
            far, radius = np.abs(x - self.around[0][row]), self.around[1]
            square = math.fsum(np.square(far).ravel()) * (1 + 16 * UNIT) + TINY
            fine &= square <= radius * radius or not far.any()
        return bool(fine.all())


def derived(networks: Sequence[Steps], regions: Regions, evidence: SlopeEvidence, arrays: Arrays,
            row: int) -> tuple[Derivation, dict[str, Box], bool]:  # fmt: skip
    """What follows from the slopes over one region: boxes of f, g and g - f; one label or not."""
    slopes = {name: planes(arrays[array][row]) for name, array in evidence.slopes.items()}
    partners = {
        tensor: (f, both, None if kept is None else arrays[kept].astype(int))
        for tensor, (f, both, kept) in evidence.partners.items()
    }
    box = regions.lower[row].reshape(-1, 1), regions.upper[row].reshape(-1, 1)
    made = Derivation(box, slopes, regions.ball(row))
    f, g = made.enclose("f:", networks[0]), made.enclose("g:", networks[1])
    again = made.compare(networks[0], networks[1], partners)
    every = np.ones(made.boxes[f][0].shape, bool)
    found = {"original": made.tighten(f, every), "compressed": made.tighten(g, every)}
    made.subtract("apart", g, f)
    made.subtract("drift", again, f)
    found["drift"] = meet(made.tighten("apart", every), made.tighten("drift", every))
    label, single, apart = int(np.sum(made.boxes[f], 0).argmax()), np.eye(every.size), 0.0
    rows = single[:, [label]] - np.delete(single, label, 1)
    least = [made.least(name, rows) for name in (f, g, again)]
    if networks[0].softmax:
        ends, slip = contrasts(made, every.size), np.full(1, 2 * softmax.FAINT)
        for name, steps in zip(("original", "compressed"), networks, strict=True):
            rate = softmax.rate(found[name], steps.executed)
            found[name] = softmax.image(found[name], steps.executed)
            slip, apart = slip + found[name][1] * rate, max(apart, 2 * float(rate[0]))
        found["drift"] = softmax.drift(found["original"], found["compressed"], ends, slip)
    agree = (least[0] > apart) & (np.maximum(least[1], least[2]) > apart)
    return made, found, bool(every.size > 1 and agree.all())


def contrasts(made: Derivation, count: int) -> Box:
    """Least and most drift (entries, 1) of any other logit less that of a logit."""
    ends = [np.zeros((count, 1)) for _ in range(2)]
    for label in range(count if count > 1 else 0):
        rows = np.delete(np.eye(count), label, 1) - np.eye(count)[:, [label]]
        for end, sign in zip(ends, (1.0, -1.0), strict=True):
            known = np.maximum(made.least("apart", sign * rows), made.least("drift", sign * rows))
            end[label] = sign * known.min()
    return ends[0], ends[1]


def planes(slopes: Array) -> list[Box]:
    """Slopes below and above along each value, from rows of entries."""
    below, above = np.split(slopes[:, :, None], 2)
    return list(zip(below, above, strict=True))


def values_at(steps: Steps, inputs: Array) -> dict[str, Box]:
    """Enclosures (entries, inputs) of every value at single inputs (inputs, *shape)."""
    known = {INPUT: (flat := inputs.reshape(len(inputs), -1).T, flat)}
    for step in list(steps.values())[1:]:
        boxes = [known[i] for i in step.inputs]
        if step.act is None:
            known[step.name] = affine_image(step.maps, step.bias, boxes, step.rounding)[0]
        else:
            known[step.name] = step.act.remainder(boxes[0], 0.0)
    return known


def evaluated(steps: Steps, inputs: Array) -> Box:
    """Enclosures (inputs, entries) of the outputs at single inputs."""
    starts, last = range(0, len(inputs), CHUNK), list(steps)[-1]
    parts = [values_at(steps, inputs[first : first + CHUNK])[last] for first in starts]
    parts = [softmax.image(p, steps.executed) for p in parts] if steps.softmax else parts
    lower, upper = (np.concatenate(ends, 1).T for ends in zip(*parts, strict=True))
    return lower, upper
