"""ONNX file to integer program."""

from pathlib import Path

from lipcert.integer.dynamic import DynamicProgram
from lipcert.integer.dynamic_reader import dynamic_of
from lipcert.integer.program import Program
from lipcert.integer.reader import program_of
from lipcert.read.onnx_file import constant_of, open_model


def read_kernels(path: str | Path) -> Program | DynamicProgram:
    """As `read_integer`, or of a file that quantises dynamically."""
    place = Path(path)
    model, _ = open_model(place)
    stored = {t.name: constant_of(t, place).values for t in model.graph.initializer}
    dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
    return (dynamic_of if dynamic else program_of)(model, stored, str(place))


def read_integer(path: str | Path) -> Program:
    """The integer kernels that a quantised network's file asks for.

    Raises:
        BadFile: if the file is malformed, truncated or unsafe to read.
        UnsupportedOp: once, listing every node that no integer kernel computes.
    """
    place = Path(path)
    model, _ = open_model(place)
    stored = {t.name: constant_of(t, place).values for t in model.graph.initializer}
    return program_of(model, stored, str(place))
