"""Lipschitz constants: proved by several relaxations, the smallest taken; observed by ascent."""

from lipcert.lipschitz.bound import LipschitzBound, PairBounds
from lipcert.lipschitz.outputs import OutputBounds, lipschitz_by_output
from lipcert.lipschitz.prove import Effort, lipschitz

__all__ = [
    "Effort",
    "LipschitzBound",
    "OutputBounds",
    "PairBounds",
    "lipschitz",
    "lipschitz_by_output",
]
