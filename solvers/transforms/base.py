"""What every transform gives: another program, and the way back."""

from abc import ABC, abstractmethod

from solvers.candidate import Candidate
from solvers.program import ConicProgram


class Transformed(ABC):
    """A program made from another, with the same optimum up to a known factor."""

    program: ConicProgram

    @abstractmethod
    def lift(self, candidate: Candidate) -> Candidate:
        """A candidate of the program it came from."""
