"""What every backend is: a solver, usually of an optional package."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

import numpy as np

from solvers.array import Vector
from solvers.candidate import Status
from solvers.limits import Limits
from solvers.program import ConicProgram


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came out of a backend: untrusted; see Candidate."""

    x: Vector | None
    z: Vector | None
    status: Status
    message: str = ""


class Backend(ABC):
    """A solver; its dataclass fields are its options. Its package is imported when it runs."""

    package: ClassVar[str | None]  # what is imported; None where nothing is
    install: ClassVar[str]  # how to get it
    accuracy: ClassVar[float]  # relative, of the optimum of a small well-posed program

    def absent(self) -> str | None:
        """Why it cannot run here, and what to do; None where it can."""
        if self.package is None:
            return None
        found = find_spec(self.package)
        if found is not None and found.origin is not None:  # a bare folder has no origin
            return None
        return f"the package {self.package} is not installed; run: {self.install}"

    @abstractmethod
    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """A claimed solution, or a status that says why there is none."""


def vector(values: object) -> Vector | None:
    """An array of a backend, where there is one."""
    return None if values is None else np.array(values, np.float64)
