"""Proof that a compressed neural network still is the network that was validated."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipcert.certificate.certificate import Certificate
    from lipcert.certificate.verdict import Verdict
    from lipcert.certify import certify, load_pair
    from lipcert.compress.allocate import allocate
    from lipcert.compress.allocation import Allocation
    from lipcert.errors import LipcertError
    from lipcert.graph.pair import Pair
    from lipcert.lipschitz import lipschitz, lipschitz_by_output
    from lipcert.numeric.placement import Placement
    from lipcert.sets.region import Ball, Box, Grid

__all__ = [
    "Allocation",
    "Ball",
    "Box",
    "Certificate",
    "Grid",
    "LipcertError",
    "Pair",
    "Placement",
    "Verdict",
    "allocate",
    "certify",
    "lipschitz",
    "lipschitz_by_output",
    "load_pair",
]
_PLACES = {
    "Allocation": "compress.allocation",
    "Ball": "sets.region",
    "Box": "sets.region",
    "Certificate": "certificate.certificate",
    "Grid": "sets.region",
    "LipcertError": "errors",
    "Pair": "graph.pair",
    "Placement": "numeric.placement",
    "Verdict": "certificate.verdict",
    "allocate": "compress.allocate",
    "certify": "certify",
    "lipschitz": "lipschitz",
    "lipschitz_by_output": "lipschitz",
    "load_pair": "certify",
}


class _Package(ModuleType):
    """Loads a name when it is asked for: `lipcert.check` works where there is no torch."""

    def __getattr__(self, name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'lipcert' has no attribute '{name}'")
        value = getattr(import_module(f"lipcert.{_PLACES[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        """A submodule that is imported does not hide the function of its name."""
        if name not in _PLACES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
