"""How long a solver may work, how much it says, and where it starts."""

import math
from dataclasses import dataclass

from solvers.candidate import Candidate
from solvers.errors import BadLimits


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What a caller allows; None leaves it to the backend.

    Args:
        seconds: of one solve, checked by the backend between its steps.
        iterations: of the backend's own kind.
        verbose: let the backend print its progress (first_order logs it, at level INFO).
        warm: a candidate of a similar program to start from; interior-point methods (clarabel,
            mosek) cannot use one and start cold.

    Raises:
        BadLimits: if a limit is not positive.
    """

    seconds: float | None = None
    iterations: int | None = None
    verbose: bool = False
    warm: Candidate | None = None

    def __post_init__(self) -> None:
        """Refuse limits without sense."""
        if self.seconds is not None and not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise BadLimits(f"Limits: seconds must be positive, got {self.seconds}; None is none")
        if self.iterations is not None and self.iterations < 1:
            raise BadLimits(f"Limits: iterations must be at least 1, got {self.iterations}")
