"""The drift SDP: the tightest bounds over l2 balls, beside those of the other relaxations."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.methods.base import Bounds, Method
from lipcert.methods.sdp_facts import DriftFacts, drift_facts
from lipcert.methods.telescoping import telescoped
from lipcert.methods.twin import followed
from lipcert.numeric.norm import length_upper
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import cast_down, cast_up, up
from lipcert.ops.kinds import Elementwise
from lipcert.sdp.procedure import GAP, Course, Forms, Multipliers, Products, Progress, Proof, search
from lipcert.sets.enclosure import Interval
from lipcert.sets.origin import smallest
from lipcert.sets.region import Region
from lipcert.walk.interrupt import noted
from lipcert.walk.progress import Watch

LIMIT_SECONDS = 60.0
LARGEST = 3000  # inputs and neurons of both networks whose forms are kept
MOST = 4000  # products whose multipliers are searched
NAME = "drift SDP"
SMALLEST = 1e-100  # goal that is worth a unit of its own
Ends = Mapping[int, np.ndarray]  # of -1 and 1: upper ends of that many times the drift
Sides = Callable[[Progress], tuple[float, float]]  # what is said of where a search stands


@dataclass(frozen=True)
class DriftSdp(Method):
    """The smallest of the outputs' difference, twin and telescoping bounds and the SDP, by name.

    The SDP needs an l2 ball, aligned networks in real arithmetic, and slopes without steps;
    elsewhere the others remain.

    Args:
        limit_seconds: of the searches of one region; each proves the best it has by then. The
            first Ctrl-C ends those of all regions likewise.
    """

    limit_seconds: float = LIMIT_SECONDS

    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Never looser than twin bounds."""
        twin, walked = followed(pair, region, placement, watch)
        difference = twin.compressed.minus(twin.original)
        parts = {"interval difference": difference, "twin bounds": twin.drift}
        norm = torch.full((region.batch,), torch.inf, dtype=torch.float64)
        if walked is not None:
            telescope = telescoped(pair, region, walked, watch)
            parts["telescoping"] = _like(telescope.drift, twin.drift)
            norm = telescope.norm
        known, _ = smallest(parts)
        with noted() as interrupt:
            rows = [
                self._row(pair, region, known, Told(interrupt.ending(watch), row, region.batch))
                for row in range(region.batch)
            ]
        found = Interval(
            torch.cat([box.lower for box, _ in rows]), torch.cat([box.upper for box, _ in rows])
        )
        drift, origin = smallest(parts | {NAME: _like(found, twin.drift)})
        norm = torch.minimum(norm, torch.cat([length for _, length in rows]))
        norm = torch.minimum(norm, length_upper(drift.magnitude().double().flatten(1)).cpu())
        norm = cast_up(norm, drift.lower.dtype).to(drift.lower.device)
        return replace(twin, drift=drift, origin=origin, norm=norm)

    def _row(
        self, pair: Pair, region: Region, drift: Interval, told: "Told"
    ) -> tuple[Interval, Tensor]:
        """Bounds of one region, infinite where the SDP does not apply; and of the l2 norm."""
        row = told.row
        box = Interval(drift.lower[row : row + 1].double(), drift.upper[row : row + 1].double())
        whole = torch.full_like(box.lower, torch.inf, device="cpu")
        nothing = Interval(-whole, whole), torch.full((1,), torch.inf, dtype=torch.float64)
        part = region.part(slice(row, row + 1))
        if not _applies(pair, part):
            return nothing
        try:
            facts = drift_facts(pair, part, Placement())
        except UnsupportedOp:  # an activation with steps: the twin bounds stand
            return nothing
        if facts.known.products.count > MOST:
            return nothing
        return Searches(facts, self.limit_seconds, told).bounds(box)


@dataclass(frozen=True, slots=True)
class Told:
    """What a watch is told of the searches of one region out of some.

    A KeyboardInterrupt from it ends the search, and those that would follow.
    """

    watch: Watch
    row: int = 0
    rows: int = 1

    def search(self, goal: str, sides: tuple[float, float], done: tuple[int, int]) -> None:
        """Between which numbers a goal's bound will be, and how many goals are done of how many."""
        many = f" {self.row + 1}/{self.rows}" if self.rows > 1 else ""
        stage = f"{NAME}{many}, {goal}: {sides[0]:.4g} to {sides[1]:.4g}"
        self.watch(stage, self.row * done[1] + done[0], self.rows * done[1])


def _applies(pair: Pair, region: Region) -> bool:
    """Whether a row has a ball of some width, and networks that the SDP can hold."""
    graphs = (pair.original, pair.compressed)
    around = region.ball()
    neurons = sum(torch.Size(node.shape).numel() for graph in graphs for node in graph.nodes
                  if node.op is None or isinstance(node.op, Elementwise))  # fmt: skip
    real = all(graph.semantics == Semantics.REAL for graph in graphs)
    return pair.aligned and real and around is not None and around[1] > 0 and neurons <= LARGEST


class Searches:
    """All searches of one region, with the time that is left for them.

    `multipliers` are those of goals that were reached: 0 the l2 norm, then every output from
    above, then every one from below.
    """

    def __init__(self, facts: DriftFacts, limit_seconds: float, told: Told) -> None:
        """With nothing found yet."""
        self.facts, self.told = facts, told
        self.multipliers = dict[int, Multipliers]()
        self.end = time.perf_counter() + limit_seconds
        self.course: Course | None = None
        self.done = 0, 1 + 2 * len(facts.drift.value)

    def bounds(self, box: Interval, aim: Ends | None = None) -> tuple[Interval, Tensor]:
        """Of every output, the largest first; of the l2 norm before.

        Args:
            box: what is proved already, (1, *shape).
            aim: ends that are small enough, by sign: no search is made for a smaller one.
        """
        shape, device = box.lower.shape, "cpu"
        lower, upper = (end.flatten().to(device).numpy().copy() for end in (box.lower, box.upper))
        proof = self._norm(float((np.maximum(abs(lower), abs(upper)) ** 2).sum()))
        norm = math.nextafter(math.sqrt(proof.upper), math.inf)
        lower, upper = np.maximum(lower, -norm), np.minimum(upper, norm)
        ends = {-1: -lower, 1: upper}
        order = [(max(ends[-1][j], ends[1][j]), j) for j in range(len(lower))]
        for _, j in sorted(order, reverse=True):
            for sign in (1, -1):
                if proof.interrupted or time.perf_counter() > self.end:
                    break
                if aim is not None and ends[sign][j] <= aim[sign][j] + GAP * abs(aim[sign][j]):
                    continue
                proof, ends[sign][j] = self._side(j, sign, float(ends[sign][j]))
        below, above = (torch.from_numpy(ends[sign]).view(shape) for sign in (-1, 1))
        noise = up(self.facts.noise[0] + self.facts.noise[1])
        found = Interval(-below, above).plus(Interval(-noise, noise))
        return found, up(length_upper(noise.flatten()) + norm).view(1)

    def _norm(self, unit: float) -> Proof:
        """The square of the l2 norm's bound; the searches that follow begin half way to it."""
        drift = self.facts.drift

        def sides(progress: Progress) -> tuple[float, float]:
            return math.sqrt(max(0.0, progress.lower)), math.sqrt(progress.upper)

        proof = self._search(Products(drift, drift), unit, "norm", sides)
        self._keep(0, proof)
        self.course = proof.course
        return proof

    def _side(self, output: int, sign: int, known: float) -> tuple[Proof, float]:
        """The upper bound of sign times an output's drift, if it is better than a known one."""
        rows = self.facts.drift
        value, error = sign * rows.value[output : output + 1], rows.error[output : output + 1]
        shift = up(torch.tensor(value[0, 0] + error[0, 0], dtype=torch.float64)).item()
        value, error = value.copy(), error.copy()
        value[0, 0] = error[0, 0] = 0.0
        one = np.eye(1, value.shape[1])
        goal = Products(Forms(one, np.zeros_like(one)), Forms(value, error))

        def sides(progress: Progress) -> tuple[float, float]:
            ends = sign * (progress.lower + shift), sign * (progress.upper + shift)
            return min(ends), max(ends)

        if self.course is not None:
            self.course = replace(self.course, worth=abs(known))
        proof = self._search(goal, known - shift, f"output {output}", sides)
        found = math.nextafter(proof.upper + shift, math.inf)
        if found < known:
            self._keep(1 + output + (0 if sign > 0 else len(rows.value)), proof)
        return proof, min(known, found)

    def _keep(self, goal: int, proof: Proof) -> None:
        if proof.multipliers is not None:
            self.multipliers[goal] = proof.multipliers

    def _search(self, goal: Products, unit: float, what: str, sides: Sides) -> Proof:
        def told(progress: Progress) -> None:
            self.told.search(what, sides(progress), self.done)

        left = self.end - time.perf_counter()
        size = unit if SMALLEST < unit < math.inf else 1.0
        proof = search(self.facts.known, goal, size, left, told, self.course)
        self.done = self.done[0] + 1, self.done[1]
        return proof


def _like(box: Interval, other: Interval) -> Interval:
    """In the dtype and on the device of another, rounded outward."""
    dtype, device = other.lower.dtype, other.lower.device
    return Interval(cast_down(box.lower, dtype).to(device), cast_up(box.upper, dtype).to(device))
