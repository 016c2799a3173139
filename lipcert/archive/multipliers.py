"""Multipliers of the drift SDP over the checker's own enclosures: what it can verify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lipcert.certificate.evidence import MultiplierEvidence
from lipcert.certificate.store import Arrays
from lipcert.check.derive import Derivation
from lipcert.check.drift import Claim, Facts, Multiplied, Product, sharpened
from lipcert.check.operation import Array, Box, Index, size
from lipcert.check.reader import CannotCheckError, Steps
from lipcert.methods.sdp import LARGEST, MOST, Searches, Told
from lipcert.methods.sdp_facts import DriftFacts
from lipcert.sdp.procedure import Forms, Known, Multipliers, Products, Stage
from lipcert.sets.enclosure import Interval

SMALLEST = 1e-100  # size of what is worth a unit of its own
HIGHEST = float(np.finfo(np.float32).max)  # larger ones are as good as this
Tables = Mapping[str, Array]
INFLATIONS = (0.0, *(8.0**k * 1e-12 for k in range(12)))  # up to a hundredth


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """Multipliers of one region, and what the search says that they prove."""

    proof: Multiplied
    box: Box
    norm: float

    def reached(self, drift: Box, claim: Claim) -> tuple[Box, float]:
        """Bounds that the checker finds proved, as near to those claimed as the search came."""
        lower, upper = np.minimum(claim[0], self.box[0]), np.maximum(claim[1], self.box[1])
        norm, found = max(claim[2], self.norm), (drift, np.inf)
        for inflation in INFLATIONS:
            more = inflation * size((lower, upper))
            wide = lower - more, upper + more, norm * (1 + inflation)
            found = sharpened(drift, self.proof, wide)
            (low, high), most = found
            if (low >= wide[0]).all() and (high <= wide[1]).all() and most <= wide[2]:
                break
        return found


def searched(networks: tuple[Steps, Steps], made: Derivation, known: tuple[Box, Claim],
             limit_seconds: float, told: Told) -> Searched | None:  # fmt: skip
    """Multipliers over one region's ball; None where the drift SDP does not apply.

    Args:
        networks: f and g.
        made: enclosures of all their values.
        known: what is proved of the outputs without multipliers, and what is claimed of them: no
            search is made for what is as good already.
        limit_seconds: of all searches.
        told: how far they are.
    """
    steps = {f"{p}:": net.values() for p, net in zip("fg", networks, strict=True)}
    neurons = sum(int(np.prod(s.shape)) for net in networks for s in net.values() if not s.maps)
    if made.ball is None or made.ball[1] == 0 or neurons > LARGEST or networks[0].softmax:
        return None
    reads = {p + s.name: s.inputs[0] and p + s.inputs[0] for p in steps for s in steps[p] if s.act}
    kept = {
        p + s.name: np.flatnonzero(s.act.bent(made.boxes[reads[p + s.name]]))
        for p in steps
        for s in steps[p]
        if s.act
    }
    facts = Facts(made, kept)
    try:
        rows = facts.compare(*networks, made.partners)
    except CannotCheckError:  # an activation with steps
        return None
    listed = _Listed.of(facts, reads)
    if listed.count > MOST:
        return None
    drift, (lower, upper, _) = known
    box = Interval(*(torch.from_numpy(end.T.copy()) for end in drift))
    noise = torch.zeros_like(box.lower)
    problem = DriftFacts(listed.known(), Forms(rows.matrix, rows.error), (noise, noise))
    searches = Searches(problem, limit_seconds, told)
    found, norm = searches.bounds(box, {-1: -lower[:, 0], 1: upper[:, 0]})
    proof = Multiplied(facts, rows, *listed.tables(1 + 2 * len(drift[0]), searches.multipliers))
    return Searched(proof, (found.lower.numpy().T, found.upper.numpy().T), float(norm))


def filed(rows: Sequence[Searched | None]) -> tuple[MultiplierEvidence | None, Arrays]:
    """As evidence, zeros where nothing was found."""
    known = [row.proof for row in rows if row is not None]
    if not known:
        return None, {}
    nothing = 0 * known[0].ball, {name: 0 * table for name, table in known[0].weights.items()}
    found = [nothing if row is None else (row.proof.ball, row.proof.weights) for row in rows]
    names = {name: f"multipliers_{place}" for place, name in enumerate(known[0].weights)}
    arrays: Arrays = {
        array: np.stack([tables[name] for _, tables in found]).astype(np.float32)
        for name, array in names.items()
    }
    arrays["multipliers_ball"] = np.stack([ball for ball, _ in found])
    return MultiplierEvidence(ball="multipliers_ball", products=names), arrays


@dataclass(frozen=True, slots=True, eq=False)
class _Listed:
    """All products in one order, sectors of the layers first; what their activations read."""

    facts: Facts
    names: Sequence[tuple[str, int]]
    reads: Mapping[str, str]

    @classmethod
    def of(cls, facts: Facts, reads: Mapping[str, str]) -> "_Listed":
        """In the order of the columns."""
        every = [(name, kind) for name, some in facts.products.items() for kind in range(len(some))]
        return cls(
            facts, sorted(every, key=lambda entry: entry[1] > 0 or entry[0][0] == "D"), reads
        )

    @property
    def count(self) -> int:
        """Number of products."""
        return sum(len(places) for places, _, _ in self.products)

    @property
    def products(self) -> list[Product]:
        """Of these names."""
        return [self.facts.products[name][kind] for name, kind in self.names]

    def known(self) -> Known:
        """For the search, with typical sizes."""
        boxes, products = self.facts.made.boxes, self.products
        units, stages, row = [np.ones(1 + self.facts.inputs)], list[Stage](), 0
        for name in self.facts.values:
            kept, column = self.facts.kept[name], sum(map(len, units))
            units.append(_half(boxes[name], kept))
            stages.append(Stage(slice(row, row + len(kept)), slice(column, column + len(kept))))
            row += len(kept)
        read = [boxes[self.reads.get(name, f"y-z:{name[2:]}")] for name, _ in self.names]
        sizes = [_half(box, product[0]) ** 2 for box, product in zip(read, products, strict=True)]
        none = np.zeros((0, self.facts.width))
        first, second = (
            Forms(np.concatenate([none, *(rows.matrix for rows in side)]),
                  np.concatenate([none, *(rows.error for rows in side)]))
            for side in ([p for _, p, _ in products], [q for _, _, q in products])
        )  # fmt: skip
        return Known(self.facts.inputs, self.facts.radius, Products(first, second), tuple(stages),
                     np.concatenate(units), np.concatenate([np.zeros(0), *sizes]))  # fmt: skip

    def tables(self, goals: int, found: Mapping[int, Multipliers]) -> tuple[Array, Tables]:
        """Of the ball (goals,), and by activation (goals, kinds, entries), those of float32."""
        ball, tables, places = np.zeros(goals), dict[str, Array](), [p for p, *_ in self.products]
        for name, some in self.facts.products.items():
            entries = len(self.facts.values[name.replace("D:h:", "g:")][1].matrix)
            tables[name] = np.zeros((goals, len(some), entries))
        for goal, multipliers in found.items():
            ball[goal] = multipliers.ball
            parts = np.split(multipliers.products, np.cumsum(list(map(len, places)))[:-1])
            for (name, kind), kept, part in zip(self.names, places, parts, strict=True):
                tables[name][goal, kind, kept] = part.clip(max=HIGHEST).astype(np.float32)
        return ball, tables


def _half(box: Box, places: Index) -> Array:
    """Half widths of some entries, one where there is next to none."""
    half = (box[1] - box[0])[places, 0] / 2
    return np.where(half > SMALLEST, half, 1.0)
