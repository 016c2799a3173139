"""LiteRT's int8 arithmetic: the reference kernels, bit for bit."""

from lipcert.integer.litert.program import Program, codes_of, evaluate

__all__ = ["Program", "codes_of", "evaluate"]
