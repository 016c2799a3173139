"""What a search for a Lipschitz constant ends with."""

from dataclasses import dataclass

from lipcert.sdp.maps import Array


@dataclass(frozen=True, slots=True, eq=False)
class LipschitzProof:
    """A proved Lipschitz constant in the l2 norm, and how far LipSDP could still go.

    Args:
        upper: proved: |f(x) - f(x')|_2 <= upper |x - x'|_2, for all inputs that the chain's slopes
            hold for; infinite where nothing was proved.
        relaxation_lower: no diagonal multipliers prove less than this, in float64 arithmetic that
            is not verified: it says how good `upper` is and proves nothing; zero where unknown.
        multipliers: per layer of the chain, those that `verified` accepts at rho = upper^2.
        inflation: relative amount by which the square of the constant was raised before the
            verification passed.
    """

    upper: float
    relaxation_lower: float
    multipliers: tuple[Array, ...]
    inflation: float

    @property
    def gap(self) -> float:
        """How far `upper` can lie above the best that LipSDP proves, relative to it."""
        if self.upper == self.relaxation_lower:
            return 0.0
        return self.upper / self.relaxation_lower - 1 if self.relaxation_lower > 0 else float("inf")
