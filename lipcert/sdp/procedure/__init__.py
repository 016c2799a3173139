"""Bounds over a ball by the S-procedure: forms, products, a search for multipliers, a proof."""

from lipcert.sdp.procedure.forms import Forms
from lipcert.sdp.procedure.known import Known, Products, Stage
from lipcert.sdp.procedure.proof import Multipliers
from lipcert.sdp.procedure.search import GAP, Course, Progress, Proof, search

__all__ = [
    "GAP",
    "Course",
    "Forms",
    "Known",
    "Multipliers",
    "Products",
    "Progress",
    "Proof",
    "Stage",
    "search",
]
