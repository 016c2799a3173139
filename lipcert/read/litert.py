"""LiteRT file (.tflite) on int8 codes to integer program."""

from pathlib import Path

import numpy as np

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.integer.litert.program import Program, Step
from lipcert.read import litert_rules
from lipcert.read.litert_call import KERNELS, Call, kernel_of
from lipcert.read.tflite_file import BROKEN, Model, Operator, open_model
from lipcert.read.tflite_grid import grid_of
from lipcert.read.tflite_view import inner_shape

litert_rules.scan()

BEHIND = ("SOFTMAX", "DEQUANTIZE")  # operators after the last codes


def read_litert(path: str | Path) -> Program:
    """What LiteRT's reference kernels compute of a file whose operators all work on int8 codes.

    A QUANTIZE of the input and a DEQUANTIZE at the end are left out, and so is a SOFTMAX at the
    end, as `read_tflite` leaves it out; the program's `source` says so.

    Raises:
        BadFile: if the file is malformed, truncated or unsafe to read.
        UnsupportedOp: once, listing every operator that has no integer kernel.
    """
    place = Path(path)
    model = open_model(place)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused where it matters
            return _program(model, place)
    except BROKEN as error:
        kind = type(error).__name__
        raise BadFile(f"{place}: is malformed ({kind}: {error})") from error


def _program(model: Model, path: Path) -> Program:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise BadFile(f"{path}: needs one input and one output, has {len(model.inputs)} and "
                      f"{len(model.outputs)}")  # fmt: skip
    makers = {operator.outputs[0]: operator for operator in model.operators if operator.outputs}
    start, end = _start(model, path), model.outputs[0]
    softmax = False
    while end in makers and makers[end].kind in BEHIND:
        softmax = softmax or makers[end].kind == "SOFTMAX"
        end = makers.pop(end).inputs[0]
    needed = _needed(makers, start, end, path)
    steps, problems = list[Step](), list[str]()
    for operator in model.operators:
        if operator.outputs and operator.outputs[0] in needed:
            _translate(model, operator, steps, problems, path)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise UnsupportedOp(
            f"{path}: {len(problems)} operators without an integer kernel of LiteRT's:{listed}"
        )
    source = f"{path} (logits: what its SOFTMAX reads)" if softmax else str(path)
    ends = [(place, grid_of(model.tensors[place])) for place in (start, end)]
    return Program(tuple(steps), source, ends[0], inner_shape(model.tensors[start]), ends[1])


def _start(model: Model, path: Path) -> int:
    """The tensor of the input's codes: the input itself, or what its QUANTIZE makes."""
    place = model.inputs[0]
    if model.tensors[place].coded:
        return place
    readers = [operator for operator in model.operators if place in operator.inputs]
    if len(readers) != 1 or readers[0].kind != "QUANTIZE":
        raise UnsupportedOp(f"{path}: its input is neither codes nor quantised first of all")
    return readers[0].outputs[0]


def _needed(makers: dict[int, Operator], start: int, end: int, path: Path) -> set[int]:
    """Tensors between the input's codes and the output's."""
    needed, waiting = set[int](), [end]
    while waiting:
        place = waiting.pop()
        if place in makers and place not in needed and place != start:
            needed.add(place)
            waiting.extend(makers[place].inputs)
    if end != start and end not in needed:
        raise BadFile(f"{path}: its output does not depend on its input")
    return needed


def _translate(
    model: Model, operator: Operator, steps: list[Step], problems: list[str], path: Path
) -> None:
    """The operator's step, or a problem."""
    output = model.tensors[operator.outputs[0]]
    label = f"{operator.kind} '{output.name}'"
    inputs = tuple(model.tensors[p] if p >= 0 else None for p in operator.inputs)
    try:
        kernel = kernel_of(Call(operator, inputs, output))
    except UnsupportedOp as error:
        problems.append(f"{label}: {error}")
        return
    except LipcertError as error:
        raise BadFile(f"{path}: {label}: {error}") from error
    count = KERNELS[operator.kind][1]
    read = inputs if count is None else inputs[:count]
    stored = tuple(
        (place, tensor.values.astype(np.int64))
        for place, tensor in enumerate(read)
        if tensor is not None and tensor.values is not None
    )
    steps.append(Step(output.name, kernel, operator.inputs[: len(read)], stored,
                      operator.outputs[0]))  # fmt: skip
