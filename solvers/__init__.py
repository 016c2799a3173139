"""Convex optimisation only: conic programs, candidates and proved brackets."""

from solvers.box import Box
from solvers.bracket import Bracket, bracket
from solvers.candidate import Candidate, Status
from solvers.cones import Nonneg, Psd, SecondOrder, Zero
from solvers.errors import SolverError
from solvers.limits import Limits
from solvers.program import ConicProgram
from solvers.prove import prove
from solvers.run import available, solve

__all__ = [
    "Box",
    "Bracket",
    "Candidate",
    "ConicProgram",
    "Limits",
    "Nonneg",
    "Psd",
    "SecondOrder",
    "SolverError",
    "Status",
    "Zero",
    "available",
    "bracket",
    "prove",
    "solve",
]
