"""A network whose quantised versions are written, read back and certified."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from onnx import ModelProto

from lipcert.certify import load_pair
from lipcert.compress.codes import Coded, every_width
from lipcert.compress.layers import Kept, Layer, in_bytes, layers_of, stored
from lipcert.compress.quantize import opened, quantised, written
from lipcert.compress.search import Bits
from lipcert.errors import UnsupportedOp
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.read.onnx_file import BITS
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A network whose quantised versions are tried out.

    Args:
        source: the original file.
        model: what is in it.
        layers: those that can be quantised.
        kept: those that stay float.
        region: inputs.
        placement: of the bounds.
        scratch: where candidates are written.
        codes: of every layer at every width.
    """

    source: Path
    model: ModelProto
    layers: tuple[Layer, ...]
    kept: tuple[Kept, ...]
    region: Region
    placement: Placement
    scratch: Path
    codes: Mapping[str, Mapping[int, Coded]]

    @classmethod
    def of(cls, source: Path, region: Region, placement: Placement, scratch: Path) -> "Bench":
        """All codes made."""
        model = opened(source)
        layers, kept = layers_of(model)
        if not layers:
            reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in kept)
            raise UnsupportedOp(f"{source}: no layer can be quantised ({reasons or 'none there'})")
        codes = {layer.name: every_width(layer.weight, layer.axis) for layer in layers}
        return cls(source, model, layers, kept, region, placement, scratch, codes)

    def made(self, bits: Bits) -> ModelProto:
        """The network with these layers quantised, the others float."""
        weights = {
            layer.tensor: self.codes[layer.name][bits[layer.name]]
            for layer in self.layers
            if layer.name in bits
        }
        return quantised(self.model, weights)

    def drift(self, bits: Bits) -> Interval:
        """Certified of the file as it is read back."""
        pair = load_pair(self.source, written(self.made(bits), self.scratch))
        return TwinBounds().certify(pair, self.region, self.placement).drift

    def largest(self, bits: Bits) -> float:
        """Of every output all over the region; infinite where nothing was proved."""
        return float(self.drift(bits).magnitude().max())

    def everywhere(self, width: int) -> Bits:
        """The same bits in every layer."""
        return {layer.name: width for layer in self.layers}

    def size(self, bits: Bits) -> int:
        """Bytes of all tensors, codes packed at their width."""
        return self.other + sum(in_bytes(layer.size(bits[layer.name])) for layer in self.layers)

    @property
    def other(self) -> int:
        """Bytes of all but the weights of layers that can be quantised."""
        mine = {layer.tensor for layer in self.layers}
        rest = [tensor for name, tensor in stored(self.model).items() if name not in mine]
        return sum(in_bytes(prod(tensor.dims) * BITS[tensor.data_type]) for tensor in rest)
