"""The same program with both cones moved inward: its solutions have room for their errors."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from solvers.array import Vector
from solvers.candidate import Candidate
from solvers.program import ConicProgram
from solvers.transforms.base import Transformed


@final
@dataclass(frozen=True, slots=True, eq=False)
class Inside(Transformed):
    """Solutions lie in the cones of the program it came from by a margin, on both sides."""

    program: ConicProgram
    inward: Vector

    def lift(self, candidate: Candidate) -> Candidate:
        """The same x; z moved back by the margin."""
        if candidate.z is None:
            return candidate
        return replace(candidate, z=candidate.z + self.inward)


def apply(program: ConicProgram, margin: float) -> Inside:
    """Minimise (c + A'd)'x subject to b - p - A x in K, with p and d a little inside K.

    Then b - A x lies inside K by p, and z + d inside the dual of K by d, where A'(z + d) + c = 0.
    Equations stay as they are. The optimum moves by the margins times the traces of both solutions.

    Args:
        program: the one to be solved with room.
        margin: relative to the largest entry of b in each cone for p, of c for d.

    Source:
        C. Jansson, D. Chaykin, C. Keil, Rigorous error bounds for the optimal value in
        semidefinite programming, SIAM J. Numer. Anal. 46 (2007), the perturbed programs of
        algorithms 4.1 and 5.1.
    """
    primal, dual = program.identity(), program.identity()
    for _, rows in program.blocks():
        primal[rows] *= margin * _size(program.b[rows])
    dual *= margin * _size(program.c)
    moved = replace(program, c=program.c + program.A.T @ dual, b=program.b - primal)
    return Inside(moved, dual)


def _size(values: Vector) -> float:
    """Largest entry, one where there is none."""
    return float(np.abs(values).max(initial=0.0)) or 1.0
