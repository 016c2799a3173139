"""Between numbers and codes."""

from dataclasses import replace

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.read.tflite_file import Stored
from lipcert.read.tflite_view import Held, View, reads


@reads("QUANTIZE")
def quantize(view: View) -> Held:
    """To codes, from numbers or from codes of another scale."""
    x = view.held(0)
    if not view.output.coded:
        raise UnsupportedOp(f"makes codes of type {view.output.dtype} without a scale")
    return view.finished(x.node, x.first)


@reads("DEQUANTIZE")
def dequantize(view: View) -> Held | Stored:
    """What codes stand for; constants are converted exactly."""
    value = view.inputs[0] if view.inputs else None
    if isinstance(value, Held):
        return replace(value, stored=view.output)
    found = view.weights(0)
    if found.error:
        raise UnsupportedOp("converts a constant that float64 cannot hold exactly")
    values = found.floats().reshape(view.output.shape)
    none = np.zeros(0)
    return replace(view.output, dtype="float64", scale=none, zero_point=none, values=values)
