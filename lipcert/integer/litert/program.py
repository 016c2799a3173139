"""A LiteRT network on int8 codes, and its evaluator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadInput
from lipcert.integer.litert.fixed_point import Real, Whole
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.kernels import Kernel

ROWS = 32  # inputs at a time


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operator.

    Args:
        name: of the tensor that it makes, in the user's file.
        kernel: what is computed.
        inputs: places of the tensors read, -1 for one that is stored.
        stored: the constant codes among the operands, by position.
        output: place of the tensor made.
    """

    name: str
    kernel: Kernel
    inputs: tuple[int, ...]
    stored: tuple[tuple[int, Whole], ...]
    output: int


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Steps in the order they run.

    Args:
        steps: of the network, up to the last one that the output needs.
        source: the user's file, and what of it is left out.
        input: place and grid of the network's input.
        input_shape: of one input.
        output: place and grid of the network's output.
    """

    steps: tuple[Step, ...]
    source: str
    input: tuple[int, Grid]
    input_shape: tuple[int, ...]
    output: tuple[int, Grid]


def evaluate(program: Program, inputs: NDArray[np.floating]) -> Real:
    """What the output's codes stand for, exactly: (batch, *shape).

    Args:
        program: from `read_litert`.
        inputs: (batch, *shape) numbers, rounded to codes as QUANTIZE does.
    """
    place, grid = program.output
    return grid.values(codes_of(program, program.input[1].quantise(np.asarray(inputs)))[place])


def codes_of(program: Program, codes: Whole) -> dict[int, Whole]:
    """The codes of every tensor computed, by its place in the file.

    Args:
        program: from `read_litert`.
        codes: of the inputs, (batch, *shape).

    Raises:
        BadInput: they do not have the network's shape.
    """
    if tuple(codes.shape[1:]) != program.input_shape or not len(codes):
        raise BadInput(
            f"{program.source}: reads inputs of shape {program.input_shape}, got {codes.shape[1:]}"
        )
    blocks = [codes[k : k + ROWS].astype(np.int64) for k in range(0, len(codes), ROWS)]
    parts = [_run(program, block) for block in blocks]
    return {place: np.concatenate([part[place] for part in parts]) for place in parts[0]}


def _run(program: Program, codes: Whole) -> dict[int, Whole]:
    made = {program.input[0]: codes}
    for step in program.steps:
        held = dict(step.stored)
        operands = [held[k] if k in held else made[p] for k, p in enumerate(step.inputs)]
        made[step.output] = step.kernel.codes(*operands)
    return made
