"""Slopes of neurons over a region, and intervals around the derivatives that they leave.

Regions are convex: what holds for all derivatives inside holds for all difference quotients.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lipcert.check.curve import Curve, Scalar
from lipcert.check.derive import Derivation
from lipcert.check.form import Form, Rows
from lipcert.check.operation import HUGE, SLACK, TINY, Ball, Box, Linear, down, gamma, size, up
from lipcert.check.reader import INPUT, Steps, hold, need

NEARBY = 2.0**-12  # share of a box over which a slope is taken
ENTRIES = 2**27  # of one value's derivatives
Slopes = Mapping[str, Box]  # by activation, least and largest (entries, 1)
Area = tuple[Box, Ball | None]  # a box of inputs (entries, 1), perhaps cut to a ball in it


class Lined(Derivation):
    """Of one network, with lines that are chosen here."""

    def lines(self, name: str, act: Scalar, box: Box) -> Box:
        """Slopes below and above an activation, best at the middle of a box."""
        middle, width, image = (box[0] + box[1]) / 2, box[1] - box[0], act.remainder(box, 0.0)
        bit = width * NEARBY
        ends = [act.sector((x, x + bit)) for x in (box[0], middle, box[1] - bit)]
        chord = (image[1] - image[0]) / np.maximum(width, 1 / HUGE)
        (least, most), slopes = act.sector(box), [(low + high) / 2 for low, high in ends]
        tried = np.stack([least, most, np.clip(chord, least, most), *slopes])
        below, above = act.remainder(box, tried)
        best = (tried * middle + below).argmax(0)[None], (tried * middle + above).argmin(0)[None]
        below, above = (np.take_along_axis(tried, place, 0)[0] for place in best)
        self.slopes[name] = [(below, above)]
        return below, above


def slopes(steps: Steps, area: Area | None) -> Slopes:
    """Of every activation over a region, or over all inputs whatever."""
    acts = [(step, step.act) for step in steps.values() if step.act is not None]
    for step, act in acts:
        smooth = isinstance(act, Curve) or act.scale is None
        need(smooth, f"{step.name}: steps, which have no constant")
    if area is None:
        return {s.name: act.sector(line(act, int(np.prod(s.shape)))) for s, act in acts}
    made = Lined(area[0], {}, area[1])
    made.enclose("", steps)
    return {s.name: act.sector(made.boxes[s.inputs[0]]) for s, act in acts}


def line(act: Scalar, entries: int) -> Box:
    """All numbers, or as many as show all slopes of a curve."""
    curved = isinstance(act, Curve)
    need(not curved or max(map(abs, act.knots)) < HUGE, "a knot that is far away")
    end = np.full((entries, 1), HUGE if curved else np.inf)
    return -end, end


def derivatives(steps: Steps, known: Slopes) -> Box:
    """Of every output (columns) along every input (rows), walked from the outputs back."""
    *_, last = steps.values()
    one = np.eye(int(np.prod(last.shape)))
    widest = max(int(np.prod(step.shape)) for step in steps.values())
    need(widest * len(one) <= ENTRIES, f"derivatives of {len(one)} outputs, {widest} at a time")
    waiting = {last.name: (one, one)}
    for step in reversed(list(steps.values())[1:]):
        box = waiting.pop(step.name)
        if step.act is None:
            parts = [pulled(linear, box) for linear in step.maps]
        else:
            corners = [end * slope for end in box for slope in known[step.name]]
            parts = [(down(np.min(corners, 0)), up(np.max(corners, 0)))]
        for source, (low, high) in zip(step.inputs, parts, strict=True):
            ends = waiting.get(source)
            whole = (low, high) if ends is None else (down(ends[0] + low), up(ends[1] + high))
            waiting[source] = whole
    return waiting[INPUT]


def pulled(linear: Linear, box: Box) -> Box:
    """Derivatives along what a map reads, from those along what it makes."""
    middle = (box[0] + box[1]) / 2
    radius = up(np.maximum(box[1] - middle, middle - box[0]))
    sizes, centre = replace(linear, weight=np.abs(linear.weight)), linear.adjoint(middle)
    relative = gamma(linear.terms + 8) + 2 * linear.error
    spread = sizes.adjoint(radius) * (1 + 2 * linear.error) + sizes.adjoint(abs(middle)) * relative
    spread = spread * SLACK + TINY
    return down(centre - spread), up(centre + spread)


def within(entries: Box, norm: str, constant: float) -> bool:
    """Whether no matrix of derivatives has a larger norm."""
    hold(constant >= 0, "a constant below zero")
    if norm != "2":
        return total(entries, norm) <= constant
    middle, most = (entries[0] + entries[1]) / 2, size(entries)
    radius, square = up(np.maximum(entries[1] - middle, middle - entries[0])), constant**2
    for rows in (Rows(middle, radius), Rows(most, 0 * most)):  # that of absolute values is larger
        form = Form(np.full(most.shape[1], down(np.asarray(square))))
        form.less(rows, rows, np.ones(len(most)))
        if form.nonnegative():
            return True
    return False


def total(entries: Box, norm: str) -> float:
    """Above the norm of every such matrix: sums along each input in l1, of each output else."""
    return float(np.max(np.sum(size(entries), {"1": 1, "inf": 0}[norm])) * SLACK + TINY)
