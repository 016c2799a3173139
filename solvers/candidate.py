"""What a solver claims: nothing here is proved."""

from dataclasses import dataclass
from enum import Enum

from solvers.array import Vector


class Status(Enum):
    """How a solver says it ended."""

    OPTIMAL = "optimal"
    INACCURATE = "inaccurate"  # solved, but not to its own tolerance
    INFEASIBLE = "infeasible"  # z claims to be a certificate: A'z = 0, b'z < 0
    UNBOUNDED = "unbounded"  # x claims to be a ray: c'x < 0, -Ax in K
    TIME_LIMIT = "time limit"
    ITERATION_LIMIT = "iteration limit"
    INTERRUPTED = "interrupted"
    FAILED = "failed"  # numerical trouble, or an error inside the backend


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A claimed solution of a program; `solvers.bracket` tells what of it is true.

    Args:
        x: (variables,); None where the backend gave none.
        z: of the dual, (rows,), in the dual cone; None where the backend gave none.
        status: what the backend says.
        seconds: on a clock on the wall, reading the program included.
        backend: its name.
        message: its own words for the status.
    """

    x: Vector | None
    z: Vector | None
    status: Status
    seconds: float = 0.0
    backend: str = ""
    message: str = ""
