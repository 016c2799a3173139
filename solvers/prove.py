"""A program solved until both sides of its optimum are proved."""

import time
from dataclasses import replace

import numpy as np

from solvers.backends.base import Backend
from solvers.box import Box
from solvers.bracket import Bracket, bracket
from solvers.candidate import Candidate, Status
from solvers.limits import Limits
from solvers.program import ConicProgram
from solvers.run import solve
from solvers.transforms import inside

MARGINS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)  # what no larger one than needed costs the bracket


def prove(
    program: ConicProgram,
    backend: str | Backend = "clarabel",
    limits: Limits | None = None,
    *,
    box: Box | None = None,
) -> tuple[Bracket, Candidate]:
    """A bracket of the optimum, and the candidate that was solved for last.

    A solution lies on the boundary of its cones, where a solver's error makes it fail proofs. So
    where a side is not proved, the program is solved again with its cones moved inward, by growing
    margins, until both sides are. From the second solve on it starts where the last one ended.

    Args:
        program: what to solve.
        backend: as for `solve`.
        limits: `seconds` for all solves together; what is proved by then is returned.
        box: as for `bracket`.

    Raises:
        SolverError: as `solve` and `bracket` do.
    """
    limits = limits or Limits()
    began = time.perf_counter()
    candidate = solve(program, backend, limits)
    proved = bracket(program, candidate, box=box)
    for margin in MARGINS:
        left = None if limits.seconds is None else limits.seconds + began - time.perf_counter()
        if _done(proved, candidate) or (left is not None and left <= 0):
            break
        moved = inside.apply(program, margin)
        room = replace(limits, seconds=left, warm=candidate)
        candidate = moved.lift(solve(moved.program, backend, room))
        proved = proved.intersect(bracket(program, candidate, box=box))
    return proved, candidate


def _done(proved: Bracket, candidate: Candidate) -> bool:
    """Whether solving again could prove no more."""
    if candidate.status in {Status.UNBOUNDED, Status.INTERRUPTED}:
        return True
    return proved.infeasible or bool(np.isfinite([proved.lower, proved.upper]).all())
