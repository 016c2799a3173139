"""What a caller gets wrong: a malformed program, a solver that is not here."""


class SolverError(Exception):
    """Something that the caller can put right; the message says how."""


class BadProgram(SolverError):
    """A program, box or hint whose shapes or numbers are wrong; the message names the row."""


class BadLimits(SolverError):
    """Limits that make no sense or that a backend cannot keep."""


class BackendAbsent(SolverError):
    """A backend that is not installed, has no licence, or does not exist."""


class BadModel(SolverError):
    """A cvxpy problem that is not a program over the cones of this package."""


class Contradiction(SolverError):
    """A proved lower bound above a proved upper one: the box given holds no optimal point."""
