"""L-BFGS on the logarithms of multipliers; whatever it ends with is only a candidate.

Source: J. Nocedal, S. Wright, Numerical Optimization, 2nd ed., algorithm 7.4, with backtracking.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.lipschitz.fourier.factor import Solved

MEMORY = 20
ITERATIONS = 400
FLAT = 1e-6  # relative improvement over as many steps as are remembered, at which to stop
Objective = Callable[[Sequence[Tensor]], Solved]


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """Logarithms of all multipliers, half the logarithm of the squared constant, its gradient."""

    place: Tensor
    value: float
    slope: Tensor


def descended(
    objective: Objective, begin: Sequence[Tensor], until: float, watch: Callable[[float], None]
) -> tuple[Tensor, ...]:
    """Better multipliers, the best until `until` (a perf_counter time) or an interrupt.

    Args:
        objective: squared constant and gradient of multipliers.
        begin: feasible multipliers.
        until: when to stop.
        watch: told the constant so far.
    """
    search = _Search(objective, [len(part) for part in begin], until)
    best = search.at(torch.cat([part.log() for part in begin]))
    try:
        for better in search.run(best):
            best = better
            watch(math.exp(best.value))
    except KeyboardInterrupt:
        pass  # the best so far is as good a candidate as any
    return search.parts(best.place)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Where and until when."""

    objective: Objective
    sizes: list[int]
    until: float

    def parts(self, place: Tensor) -> tuple[Tensor, ...]:
        """Multipliers block by block."""
        return tuple(part.exp() for part in place.split(self.sizes))

    def at(self, place: Tensor) -> _Point:
        """Value and slope; infinite where not feasible."""
        parts = self.parts(place)
        found = self.objective(parts)
        if not (math.isfinite(found.constant) and found.constant > 0):
            return _Point(place, math.inf, place)
        slopes = [p * g for p, g in zip(parts, found.gradient, strict=True)]
        return _Point(place, math.log(found.constant) / 2, torch.cat(slopes) / (2 * found.constant))

    def run(self, best: _Point) -> Iterator[_Point]:
        """Ever better points, until there are none, or they hardly are."""
        moves: list[tuple[Tensor, Tensor]] = []
        values = [best.value]
        for _ in range(ITERATIONS if math.isfinite(best.value) else 0):
            following = self._along(best, _direction(best.slope, moves))
            if following is None and not moves:
                return
            if following is None:
                moves.clear()
                continue
            step, change = following.place - best.place, following.slope - best.slope
            if float(step @ change) > 1e-12 * float(step.norm() * change.norm()):
                moves = [*moves, (step, change)][-MEMORY:]
            best = following
            yield best
            values.append(best.value)
            stalled = len(values) > MEMORY and values[-MEMORY] - best.value < FLAT
            if stalled or time.perf_counter() > self.until:
                return

    def _along(self, here: _Point, direction: Tensor) -> _Point | None:
        """The first point along a direction that is low enough; None where there is none."""
        fall, length = float(direction @ here.slope), 1.0
        while fall < 0 and length > 1e-7 and time.perf_counter() < self.until:
            there = self.at(here.place + length * direction)
            if there.value <= here.value + 1e-4 * length * fall:
                return there
            length /= 2
        return None


def _direction(slope: Tensor, moves: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Two-loop recursion."""
    turned, shares = slope.clone(), list[float]()
    for step, change in reversed(moves):
        shares.append(float(step @ turned) / float(change @ step))
        turned -= shares[-1] * change
    if moves:
        step, change = moves[-1]
        turned *= float(step @ change) / float(change @ change)
    else:
        turned *= 0.1 / max(float(turned.norm()), 1e-300)
    for (step, change), share in zip(moves, reversed(shares), strict=True):
        turned += step * (share - float(change @ turned) / float(change @ step))
    return -turned
