"""Bounds on the drift over an l2 ball, proved by multipliers of the S-procedure.

Coordinates are 1, the input less the centre, and of neurons u, what they make less what they would
make at zero coordinates. Products of rows that are nowhere negative over the ball, weighted, and
weight (r^2 - |x|^2), are taken off what is to be proved nonnegative: a bound less the drift.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lipcert.certificate.evidence import SlopeEvidence
from lipcert.check.derive import Derivation, Partners
from lipcert.check.form import Form, Rows, followed
from lipcert.check.operation import Activation, Array, Box, Index, down, length, size, up
from lipcert.check.reader import Step, Steps, need

LARGEST = 6000  # coordinates
ROOM = 1e-5  # of a box's width: lines below that touch a knot are taken that much lower
NONE = np.zeros(0, int)
Claim = tuple[Array, Array, float]  # ends of the drift (entries, 1), and its l2 norm
Product = tuple[Index, Rows, Rows]  # of which entries; two rows of each, of which none is negative


class Facts:
    """What is known of two networks over a ball; `kept` are entries that have a coordinate."""

    def __init__(self, made: Derivation, kept: Mapping[str, Index]) -> None:
        """The input alone."""
        assert made.ball is not None
        (centre, self.radius), self.made, self.kept = made.ball, made, kept
        self.inputs, self.products = len(centre), dict[str, list[Product]]()
        self.used, self.width = 1 + len(centre), 1 + len(centre) + sum(map(len, kept.values()))
        need(self.width <= LARGEST, f"a matrix of {self.width} rows")
        single = np.eye(self.inputs, self.width, 1)
        self.start = Rows(single, 0 * single).shifted(centre)
        self.values = dict[str, tuple[Activation, Rows, Rows]]()

    def compare(self, f: Steps, g: Steps, partners: Partners) -> Rows:
        """All products; the drift."""
        first, second = (
            followed(self.start, steps, lambda step, reads, p=prefix: self.neurons(p, step, reads),
                     biased=True)
            for prefix, steps in (("f:", f), ("g:", g))
        )  # fmt: skip
        for tensor, (original, both, which) in partners.items():
            if both and f"f:{original}" in self.values and f"g:{tensor}" in self.values:
                self.products[f"D:h:{tensor}"] = [*self.couple(tensor, f"f:{original}", which)]
        return second.plus(first, -1.0)

    def neurons(self, prefix: str, step: Step, reads: Rows) -> Rows:
        """An activation; entries without a coordinate make a multiple of how far they read."""
        act, name, centre = step.act, prefix + step.name, reads.matrix[:, :1].copy()
        fine = isinstance(act, Activation) and act.scale is None and not np.any(act.below)
        need(fine, f"{name}: neither a ReLU nor a clip")
        assert isinstance(act, Activation)
        low, high = self.made.boxes[step.inputs[0] and prefix + step.inputs[0]]
        hull, kept = (np.minimum(low, centre), np.maximum(high, centre)), self.kept.get(name, NONE)
        steep = (act.low <= hull[0]) & (hull[1] <= act.high)
        loose = steep | act.bent(hull)
        moved = reads.shifted(-centre).times(steep.astype(float), loose.astype(float))
        moved = moved.replaced(kept, self.used)
        self.used += len(kept)
        makes = moved.shifted(np.clip(centre, act.low, act.high))
        few = act, reads.some(kept), makes.some(kept)
        away = moved.some(kept), few[1].shifted(-centre[kept])
        self.values[name] = act, reads, makes
        chosen = (low[kept], high[kept]), self.made.slopes[name][0][1][kept]
        products = [(away[0], away[1].plus(away[0], -1.0)), *lines(*few, *chosen)]
        self.products[name] = [(kept, *rows) for rows in products]
        return makes

    def couple(self, tensor: str, original: str, which: Index | None) -> Iterator[Product]:
        """Planes around the difference of two activations, and its slopes where they are alike."""
        (f, z, a), (g, y, b) = self.values[original], self.values[f"g:{tensor}"]
        which = np.arange(len(y.matrix)) if which is None else which
        free = np.isin(which, self.kept.get(original, NONE))
        free[self.kept.get(f"g:{tensor}", NONE)] = True
        keep = np.flatnonzero(free)
        z, a, y, b = (
            r.some(k) for r, k in ((z, which[keep]), (a, which[keep]), (y, keep), (b, keep))
        )
        zeta, delta, known = y.plus(z, -1.0), b.plus(a, -1.0), self.made.relations[f"D:h:{tensor}"]
        slopes = [[end[keep] for end in ends] for ends in known.slopes]
        low, high = (
            zeta.times(along, along).plus(z.times(own, own)).shifted(constant[keep])
            for along, own, constant in zip(*slopes, known.constants, strict=True)
        )
        yield keep, delta.plus(low, -1.0), high.plus(delta, -1.0)
        if (f.low, f.high) == (g.low, g.high):
            yield keep, delta, zeta.plus(delta, -1.0)


def lines(act: Activation, z: Rows, a: Rows, box: Box, slope: Array) -> Iterator[tuple[Rows, Rows]]:
    """Products of lines below with the line above and with each other; slopes from the knots."""
    top = z.times(slope, slope).shifted(act.remainder(box, slope)[1]).plus(a, -1.0)
    below = [a, a.plus(z, -1.0)]
    below = [r.shifted(-act.remainder(box, s)[0]) for r, s in zip(below, (0.0, 1.0), strict=True)]
    yield from ((line, top) for line in below)
    room = (box[1] - box[0]) * ROOM
    yield below[0].shifted(room), below[1].shifted(room)
    for knot in (k for k in (act.low, act.high) if math.isfinite(k)):
        yield a.shifted(np.full(room.shape, -knot)), z.plus(a, -1.0)


class Multiplied:
    """What the multipliers of one region prove."""

    def __init__(self, facts: Facts, drift: Rows, ball: Array,
                 weights: Mapping[str, Array]) -> None:  # fmt: skip
        """Weights of the ball (goals,) and by activation (goals, kinds, entries)."""
        self.facts, self.drift, self.ball, self.weights = facts, drift, ball, weights

    @classmethod
    def of(cls, networks: Sequence[Steps], made: Derivation, evidence: SlopeEvidence,
           arrays: Mapping[str, Array], row: int) -> "Multiplied | None":  # fmt: skip
        """Of a certificate, if there are any; they say nothing of what a softmax makes."""
        if evidence.multipliers is None or made.ball is None or networks[0].softmax:
            return None
        need(not any(steps.executed for steps in networks), "multipliers of executed networks")
        weights = {n: arrays[a][row] for n, a in evidence.multipliers.products.items()}
        kept = {n: np.flatnonzero(w.any((0, 1))) for n, w in weights.items() if n[0] in "fg"}
        facts = Facts(made, kept)
        drift = facts.compare(networks[0], networks[1], made.partners)
        return cls(facts, drift, arrays[evidence.multipliers.ball][row], weights)

    def proves(self, goal: int, bound: float) -> bool:
        """A bound on the l2 norm (goal 0), from above or from below on an output's drift."""
        facts, ball, count = self.facts, float(self.ball[goal]), len(self.drift.matrix)
        if not (ball > 0 and math.isfinite(bound) and (goal > 0 or bound >= 0)):
            return False
        diagonal = np.zeros(facts.width)
        diagonal[1 : 1 + facts.inputs] = ball
        least = down(np.asarray(bound * bound)) if goal == 0 else np.asarray(bound)
        diagonal[0] = down(least - up(ball * up(np.asarray(facts.radius**2))))
        form = Form(diagonal)
        for name, weights in self.weights.items():
            products = zip(weights[goal], facts.products[name], strict=True)
            for weight, (places, first, second) in products:
                if (weight < 0).any():
                    return False
                form.less(first, second, weight[places])
        one = Rows(np.eye(1, facts.width), np.zeros((1, facts.width)))
        single = self.drift.some(np.array([(goal - 1) % count]))
        sign = np.ones((1, 1)) if goal <= count else -np.ones((1, 1))
        rows = (self.drift, self.drift) if goal == 0 else (one, single.times(sign, sign))
        form.less(*rows, np.ones(len(rows[0].matrix)))
        return form.nonnegative()


def sharpened(drift: Box, proof: Multiplied | None, claim: Claim) -> tuple[Box, float]:
    """The drift's box, and its norm, where multipliers prove more of what is claimed."""
    (lower, upper, norm), count = claim, len(drift[0])
    most = norm if proof is not None and proof.proves(0, norm) else math.inf
    low, high = np.maximum(drift[0], -most), np.minimum(drift[1], most)
    for j in range(count if proof is not None else 0):
        assert proof is not None
        if upper[j] < high[j] and proof.proves(1 + j, float(upper[j, 0])):
            high[j] = upper[j]
        if lower[j] > low[j] and proof.proves(1 + count + j, -float(lower[j, 0])):
            low[j] = lower[j]
    return (low, high), min(most, float(length(size((low, high)))[0]))
