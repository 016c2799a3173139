"""Proof that a compressed neural network still is the network that was validated."""

from lipcert.certificate.certificate import Certificate
from lipcert.certificate.verdict import Verdict
from lipcert.certify import certify, load_pair
from lipcert.compress.allocate import allocate
from lipcert.compress.allocation import Allocation
from lipcert.errors import LipcertError
from lipcert.graph.pair import Pair
from lipcert.lipschitz import lipschitz
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
    "load_pair",
]
