"""`lipcert show`."""

from lipcert.options import Model
from lipcert.read import read_file
from lipcert.report.layers import layers
from lipcert.terminal import complaints, output


def command(model: Model) -> None:
    """Print the layer graph of an ONNX or LiteRT file."""
    with complaints():
        output().print(layers(read_file(model)))
