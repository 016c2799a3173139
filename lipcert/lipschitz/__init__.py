"""Lipschitz constants: proved by several relaxations, the smallest taken; observed by ascent."""

from lipcert.lipschitz.bound import LipschitzBound, PairBounds
from lipcert.lipschitz.prove import Effort, lipschitz

__all__ = ["Effort", "LipschitzBound", "PairBounds", "lipschitz"]
