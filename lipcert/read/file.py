"""A network in a file of any format that is read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lipcert.errors import BadFile
from lipcert.graph.layer_graph import LayerGraph
from lipcert.read.onnx import read_onnx
from lipcert.read.tflite import read_tflite

READERS: Mapping[str, Callable[[Path], LayerGraph]] = {
    ".onnx": read_onnx,
    ".tflite": read_tflite,
}


def read_file(path: str | Path) -> LayerGraph:
    """The network in a file, by the reader for its suffix.

    Raises:
        BadFile: if the suffix is unknown, or the file malformed, truncated or unsafe to read.
        UnsupportedOp: once, listing every operator that has no rule.
    """
    place = Path(path)
    reader = READERS.get(place.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise BadFile(f"{place}: networks are read from files that end in {known}")
    return replace(reader(place), path=place)
