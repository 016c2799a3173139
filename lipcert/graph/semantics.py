"""Which function a compressed network's file stands for: the arithmetic a certificate covers."""

from enum import StrEnum


class Semantics(StrEnum):
    """Named arithmetics; each value is what reports, certificates and the command line say.

    Executed networks read float32: for all but `real` a claim is about the float32 members of a
    region. Their tanh, exp and the like are taken to be right to 2^-20 of max(1, |x|).
    """

    REAL = "real"
    """The graph in exact arithmetic on the stored weights; quantisers round exact reals."""

    FLOAT32 = "float32"
    """The same graph executed in float32, sums in any order."""

    INT8 = "int8"
    """Integer accumulation and float32 requantisation, as integer kernels compute."""

    ORT_X86_SAT16 = "ort-x86-sat16"
    """`int8`, pairs of products saturating at 16 bits: ONNX Runtime on x86 without VNNI."""

    LITERT = "litert"
    """LiteRT's reference kernels on int8 codes: its own fixed-point requantisation."""
