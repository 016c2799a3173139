"""Quantised networks as integer programs, run bit for bit as integer kernels run them."""

from lipcert.integer.dynamic import DynamicProgram, evaluate_dynamic
from lipcert.integer.overflow import LayerOverflow, OverflowReport, overflow
from lipcert.integer.program import Program, Step
from lipcert.integer.reader import program_of
from lipcert.integer.run import codes_of, evaluate

__all__ = [
    "DynamicProgram",
    "LayerOverflow",
    "OverflowReport",
    "Program",
    "Step",
    "codes_of",
    "evaluate",
    "evaluate_dynamic",
    "overflow",
    "program_of",
]
