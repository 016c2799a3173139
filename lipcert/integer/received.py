"""Inputs as integer kernels receive them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadInput
from lipcert.graph.semantics import Semantics
from lipcert.integer.encoding import Single
from lipcert.integer.window import Sizes

INTEGER = (Semantics.INT8, Semantics.ORT_X86_SAT16)


class Reads(Protocol):
    """A program that names its file and the shape of one input."""

    @property
    def source(self) -> str:
        """The user's file."""
        ...

    @property
    def input_shape(self) -> Sizes:
        """Of one input, the batch axis aside."""
        ...


def received(program: Reads, inputs: NDArray[np.floating], semantics: Semantics) -> Single:
    """Inputs (batch, *shape) in float32.

    Raises:
        BadInput: the semantics is not computed in integers, or the inputs have another shape.
    """
    if semantics not in INTEGER:
        raise BadInput(f"{semantics} is not computed in integers; take int8 or ort-x86-sat16")
    if tuple(inputs.shape[1:]) != program.input_shape or not len(inputs):
        raise BadInput(
            f"{program.source}: reads inputs of shape {program.input_shape}, got {inputs.shape[1:]}"
        )
    return np.ascontiguousarray(inputs, dtype=np.float32)
