"""A network whose quantised versions are written, read back and certified."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from onnx import ModelProto

from lipcert.certify import load_pair
from lipcert.compress.codes import Coded, Widths, every_width, mixed
from lipcert.compress.layers import Kept, Layer, in_bytes, layers_of, stored
from lipcert.compress.quantize import opened, quantised, written
from lipcert.errors import UnsupportedOp
from lipcert.graph.pair import Pair
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.read.onnx_file import BITS
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region

Chosen = Mapping[str, Widths]  # by layer


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

    def made(self, chosen: Chosen) -> ModelProto:
        """The network with these layers quantised, the others float."""
        weights = {
            layer.tensor: mixed(self.codes[layer.name], chosen[layer.name])
            for layer in self.layers
            if layer.name in chosen
        }
        return quantised(self.model, weights)

    def pair(self, chosen: Chosen) -> Pair:
        """The original beside the file with these layers quantised, as it is read back."""
        return load_pair(self.source, written(self.made(chosen), self.scratch))

    def drift(self, chosen: Chosen) -> Interval:
        """Certified of the file as it is read back."""
        return TwinBounds().certify(self.pair(chosen), self.region, self.placement).drift

    def largest(self, chosen: Chosen) -> float:
        """Of every output all over the region; infinite where nothing was proved."""
        return float(self.drift(chosen).magnitude().max())

    def everywhere(self, width: int) -> Chosen:
        """The same bits in every channel of every layer."""
        return self.spread({layer.name: width for layer in self.layers})

    def spread(self, bits: Mapping[str, int]) -> Chosen:
        """The same bits in every channel of a layer."""
        named = {layer.name: layer for layer in self.layers}
        return {name: named[name].everywhere(width) for name, width in bits.items()}

    def size(self, chosen: Chosen) -> int:
        """Bytes of all tensors, codes packed at their width."""
        return self.other + sum(in_bytes(layer.size(chosen[layer.name])) for layer in self.layers)

    @property
    def other(self) -> int:
        """Bytes of all but the weights of layers that can be quantised."""
        mine = {layer.tensor for layer in self.layers}
        rest = [tensor for name, tensor in stored(self.model).items() if name not in mine]
        return sum(in_bytes(prod(tensor.dims) * BITS[tensor.data_type]) for tensor in rest)
