"""Bounds on f, g and g - f over one region, derived from slopes by walks from values to the input.

One graph holds f's values, g's values, and g's once more as drift plus f's value: g(y) = D + f(z).
Planes in y - z and z replace D, lines replace activations; all get the intercept that is right for
their slopes and for the boxes here, so that no slope has to be trusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lipcert.check import operation as op
from lipcert.check.curve import Scalar, difference
from lipcert.check.operation import Activation, Array, Ball, Box, Index, Linear, Mask, Rounding
from lipcert.check.reader import INPUT, CannotCheckError, Step, Steps, need

CHUNK = 2**19  # coefficients that are held at once, but for
TOGETHER = 128  # entries of one place
IDENTITY = Activation(-np.inf, np.inf)


@dataclass(frozen=True)
class Relation:
    """A value in terms of others: a sum of maps and a bias, or between planes.

    `slopes` holds two planes' slopes along each other value, `constants` the bias or the planes'
    intercepts, below and above; `loss` is what rounding may take when coefficients are pulled
    through, ours and a runtime's, per unit of coefficient.
    """

    inputs: Sequence[str]
    maps: Sequence[Linear]
    slopes: Sequence[Box]
    constants: Sequence[Array]
    loss: Array


Partners = Mapping[str, tuple[str, bool, Index | None]]


class Derivation:
    """Boxes (entries, 1) of all values over a box, or over a ball in it, the input's first."""

    def __init__(
        self, box: Box, slopes: Mapping[str, Sequence[Box]], ball: Ball | None = None
    ) -> None:
        """The input alone; slopes of planes below and above, along each value, by name.

        A ball's centre lies in the box.
        """
        self.ball: Ball | None = ball
        self.partners: Partners = {}
        self.boxes, self.relations = dict[str, Box](), dict[str, Relation]()
        self.slopes: dict[str, Sequence[Box]] = {INPUT: (), **slopes}
        self.between(INPUT, (), box, box)

    def affine(self, name: str, inputs: Sequence[str], maps: Sequence[Linear], bias: Array,
               rounding: Rounding = op.EXACT) -> None:  # fmt: skip
        """A sum of maps and a bias, which may be off by a rounding."""
        image, loss = op.affine_image(maps, bias, [self.boxes[i] for i in inputs], rounding)
        self.add(name, image, Relation(inputs, maps, (), (bias,), loss))

    def between(self, name: str, inputs: Sequence[str], ends: Box, box: Box) -> None:
        """A value between planes."""
        slopes = self.slopes[name]
        parts = [op.size(s) * op.size(self.boxes[i]) for s, i in zip(slopes, inputs, strict=True)]
        loss = np.zeros(1) + sum(parts) * 16 * op.UNIT
        self.add(name, box, Relation(inputs, (), slopes, ends, loss))

    def add(self, name: str, box: Box, relation: Relation) -> None:
        """Something that depends on earlier values; nothing is wider than what is known."""
        if not np.all(op.size(box) < op.HUGE):
            raise CannotCheckError(f"no finite box of {name}")
        most = op.size((relation.constants[0], relation.constants[-1]))
        loss = (relation.loss + op.gamma(2 * most.size + 16) * most) * op.SLACK + op.TINY
        self.boxes[name], self.relations[name] = box, replace(relation, loss=loss)

    def enclose(self, prefix: str, steps: Steps) -> str:
        """One network: boxes, tight where an activation profits, and lines; names its output."""
        name = INPUT
        for step in list(steps.values())[1:]:
            name, inputs = prefix + step.name, [i and prefix + i for i in step.inputs]
            if step.act is None:
                self.affine(name, inputs, step.maps, step.bias, step.rounding)
                self.tighten(name, wanted(steps, step.name, self.boxes[name]))
            else:
                box = self.boxes[inputs[0]]
                low, high = self.lines(name, step.act, box)
                ends = step.act.remainder(box, low)[0], step.act.remainder(box, high)[1]
                self.between(name, inputs, ends, step.act.remainder(box, 0.0))
        return name

    def lines(self, name: str, _act: Scalar, _box: Box) -> Box:
        """Slopes below and above an activation."""
        need(name in self.slopes, f"no slopes of {name}")
        return self.slopes[name][0]

    def compare(self, f: Steps, g: Steps, partners: Partners) -> str:
        """The network g once more, as drift plus f's values; names its output.

        Partners say for an activation of g with which tensor of f to compare it, whether f has an
        activation there too, and which of f's entries are g's, if not all.
        """
        again, self.partners = {INPUT: INPUT}, partners
        for step in list(g.values())[1:]:
            name, inputs = "h:" + step.name, [again[i] for i in step.inputs]
            if step.act is None:
                self.affine(name, inputs, step.maps, step.bias, step.rounding)
            elif step.name in partners:
                original, both, kept = partners[step.name]
                kept = np.arange(int(np.prod(step.shape))) if kept is None else kept
                self.couple(name, inputs[0], step.act, f[original], both, kept)
            else:
                name = "g:" + step.name
            self.boxes[name], again[step.name] = self.boxes["g:" + step.name], name
        return again[list(g)[-1]]

    def couple(self, name: str, y: str, g: Scalar, one: Step, both: bool, kept: Index) -> None:
        """Planes in place of the difference of two activations."""
        act, source = (one.act, one.inputs[0]) if both else (IDENTITY, one.name)
        whole, f = (i and "f:" + i for i in (source, one.name))
        inside = np.isin(kept, np.arange(len(self.boxes[whole][0]))).all()
        if act is None or len(self.boxes[y][0]) != len(kept) or not inside:
            raise ValueError(f"partners that do not fit at {name}")
        act = act.at(kept)
        z, drift, change = (prefix + name for prefix in ("z:", "y-z:", "D:"))
        choice = op.move(kept, len(self.boxes[whole][0]))
        every = op.move(np.arange(len(kept)), len(kept))
        self.affine(z, [whole], [choice], np.zeros((len(kept), 1)))
        self.subtract(drift, y, z)
        (z_low, z_high), (y_low, y_high) = z_box, y_box = self.boxes[z], self.boxes[y]
        hull = np.minimum(z_low, y_low), np.maximum(z_high, y_high)
        if both:
            self.tighten(drift, act.bent(hull) | g.bent(hull))
        gaps = self.boxes[drift]
        y_box = op.meet(y_box, (op.down(z_low + gaps[0]), op.up(z_high + gaps[1])))
        z_box = op.meet(z_box, op.minus(y_box, gaps))
        boxes, (below, above) = (z_box, y_box, gaps), zip(*self.slopes[change], strict=True)
        ends = difference(act, g, boxes, below)[0], difference(act, g, boxes, above)[1]
        box = difference(act, g, boxes, (0 * y_low, 0 * y_low))
        self.between(change, [drift, z], ends, box)
        self.affine(name, [change, f], [every, choice], np.zeros((len(kept), 1)))

    def subtract(self, name: str, y: str, z: str) -> None:
        """One value less another."""
        every, count = np.arange(len(self.boxes[y][0])), len(self.boxes[y][0])
        maps = op.move(every, count), op.move(every, count, -1.0)
        self.affine(name, [y, z], maps, np.zeros((count, 1)))

    def tighten(self, name: str, mask: Mask) -> Box:
        """A box walked back where the mask is true, place by place: neighbours read the same."""
        self.boxes[name] = lower, upper = self.boxes[name][0].copy(), self.boxes[name][1].copy()
        widths = [m.index.size for r in self.relations.values() for m in r.maps]
        count, maps = len(lower), self.relations[name].maps
        spots = maps[0].index.shape[2] if maps else 1
        most = max(CHUNK // max(widths, default=1), min(TOGETHER, count // spots))
        found = np.flatnonzero(mask)
        found = found[np.argsort(found % spots, kind="stable")]
        for first in range(0, len(found), most):
            some = np.sort(found[first : first + most])
            rows = np.repeat(np.eye(len(some)), 2, 1) * ([1.0, -1.0] * len(some))
            least = self.least(name, rows, some)
            lower[some, 0] = np.maximum(lower[some, 0], least[0::2])
            upper[some, 0] = np.minimum(upper[some, 0], -least[1::2])
        return lower, upper

    def least(self, start: str, rows: Array, support: Index | None = None) -> Array:
        """Lower bounds (columns,) of coefficients (entries, columns) times some entries, or all.

        The better one of a walk to the input, and of one through sums of sums alone.
        """
        waiting = {start: (np.arange(len(rows)) if support is None else support, rows)}
        order = [name for name in reversed(self.relations) if name != INPUT]
        sums = [name for name in order if self.relations[name].maps]
        twice = set(sums) & set(self.relations[start].inputs)
        met = self.walk(waiting, sums if twice else ())
        near = self.across(waiting)
        far = op.down(self.walk(waiting, order) + self.across(waiting))
        return op.down(met + np.maximum(near, far))

    def across(self, waiting: Mapping[str, "Rows"]) -> Array:
        """Lower bounds (columns,) of what is waiting, by boxes and the ball alone."""
        total, slack = np.zeros(1), np.zeros(1)
        for name, (some, rows) in waiting.items():
            low, high = (end[some, 0] for end in self.boxes[name])
            least = low @ np.maximum(rows, 0) + high @ np.minimum(rows, 0)
            if name == INPUT and self.ball is not None:
                reach = op.length(rows) * self.ball[1]
                least = np.maximum(least, self.ball[0][some, 0] @ rows - op.up(reach))
            total = op.down(total + least)
            slack = slack + op.gamma(2 * len(some) + 16) * (op.size((low, high)) @ np.abs(rows))
        return op.down(total - slack * op.SLACK - op.TINY)

    def walk(self, waiting: dict[str, "Rows"], names: Sequence[str]) -> Array:
        """What is met (columns,) where waiting coefficients are pulled through some values.

        Kept true at every step: waiting coefficients times their values, plus total, less slack,
        is below what was asked for.
        """
        total, slack = np.zeros(1), np.zeros(1)
        for name in names:
            if name not in waiting:
                continue
            relation, (some, rows) = self.relations[name], waiting.pop(name)
            loss, low, high = (
                np.broadcast_to(fact, self.boxes[name][0].shape)[some, 0]
                for fact in (relation.loss, relation.constants[0], relation.constants[-1])
            )
            slack = slack + loss @ np.abs(rows) * op.SLACK
            if relation.maps:
                total = op.down(total + low @ rows)
                parts = [pulled(linear, some, rows) for linear in relation.maps]
            else:
                more, less = np.maximum(rows, 0), np.minimum(rows, 0)
                total = op.down(total + (low @ more + high @ less))
                parts = [(some, more * s[0][some] + less * s[1][some]) for s in relation.slopes]
            for source, part in zip(relation.inputs, parts, strict=True):
                both = joined(waiting[source], part) if source in waiting else part
                lost = op.size(self.boxes[source])[both[0], 0] @ np.abs(both[1])
                slack, waiting[source] = slack + lost * (2 * op.UNIT * op.SLACK), both
        return op.down(total - slack * op.SLACK - op.TINY)


Rows = tuple[Index, Array]  # coefficients (some entries, columns) of a value's entries, in order


def pulled(linear: Linear, some: Index, rows: Array) -> Rows:
    """Coefficients on what a map reads."""
    if len(some) == linear.index.shape[2] * linear.weight.shape[0] * linear.weight.shape[1]:
        return np.arange(linear.size), linear.adjoint(rows)
    entries, part, reads = linear.within(some)
    return reads, part.adjoint(op.among(entries, some, rows))


def joined(first: Rows, second: Rows) -> Rows:
    """A sum."""
    if np.array_equal(first[0], second[0]):
        return first[0], first[1] + second[1]
    both = np.union1d(first[0], second[0])
    return both, op.among(both, *first) + op.among(both, *second)


def wanted(steps: Steps, name: str, box: Box) -> Mask:
    """Entries whose tighter box would tighten an activation, perhaps one behind another."""
    acts = [(s.name, s.act) for s in steps.values() if s.act is not None and name in s.inputs]
    masks = [a.bent(box) | wanted(steps, made, a.remainder(box, 0.0)) for made, a in acts]
    return np.any([np.zeros(box[0].shape, bool), *masks], 0)
