"""QEBVerif's fixed-point networks as layer graphs, and their exact integer evaluation.

Any folder of archives with `W{l}, b{l}` and `Q{bits}_W{l}, Q{bits}_b{l}` will do, whatever the
number and width of the layers. Pixels are integers in 0..255; the quantised network reads x/256,
the float one x/255.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.kinds import Op
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu

Arrays = Mapping[str, np.ndarray]


def widths(arrays: Arrays) -> list[int]:
    """The bit widths that an archive holds."""
    return sorted({int(k.split("_")[0][1:]) for k in arrays if k.startswith("Q")})


def layers(arrays: Arrays) -> int:
    """How many affine layers there are."""
    return sum(name.startswith("W") for name in arrays)


def only(arrays: Arrays, output: int) -> Arrays:
    """The same networks with one output."""
    last = layers(arrays) - 1
    ends = (f"W{last}", f"b{last}")
    return {
        name: array[output : output + 1] if name.rsplit("_", 1)[-1] in ends else array
        for name, array in arrays.items()
    }


def float_network(arrays: Arrays, source: str) -> LayerGraph:
    """ReLU between affine layers; reads pixels."""
    ops: list[Op] = []
    for k in range(layers(arrays)):
        weight = _exact(arrays[f"W{k}"]) / (255 if k == 0 else 1)
        ops += [Linear(weight, _exact(arrays[f"b{k}"]), 2.0**-52 if k == 0 else 0.0), Relu()]
    return _chain(ops[:-1], source)


def quantised_network(arrays: Arrays, bits: int, source: str) -> LayerGraph:
    """Codes `clamp(floor(acc / 2^s + 1/2), 0, 2^bits - 1)` between affine layers; reads pixels.

    Accumulators are whole numbers, so a quarter of one added before rounding turns ties upward
    and changes nothing else: half to even then equals the definition's half up.
    """
    count, ops = layers(arrays), list[Op]()
    one = torch.ones(1, dtype=torch.float64)
    for k in range(count):
        fraction = (8 if k == 0 else bits - 2) + bits - 1  # bits behind the accumulator's point
        weight = _exact(arrays[f"Q{bits}_W{k}"]) * 2.0 ** (1 - bits) / (256 if k == 0 else 1)
        bias = _exact(arrays[f"Q{bits}_b{k}"]) * 2.0 ** (2 - bits)
        if k < count - 1:
            ops.append(Linear(weight, bias + 0.25 * 2.0**-fraction))
            ops.append(Quantize(one * 2.0 ** (2 - bits), 0 * one, one * (2**bits - 1)))
        else:
            ops.append(Linear(weight, bias))
    return _chain(ops, source)


def integers(arrays: Arrays, bits: int, pixels: np.ndarray) -> np.ndarray:
    """The quantised network's outputs in whole numbers, (inputs, outputs), scaled at the end."""
    count, codes = layers(arrays), pixels.astype(np.int64)
    for k in range(count):
        fraction = (8 if k == 0 else bits - 2) + bits - 1
        bias = arrays[f"Q{bits}_b{k}"].astype(np.int64) << (fraction - (bits - 2))
        sums = codes @ arrays[f"Q{bits}_W{k}"].astype(np.int64).T + bias
        if k == count - 1:
            return sums / 2.0**fraction
        shift = fraction - (bits - 2)
        codes = np.clip((sums + (1 << (shift - 1))) >> shift, 0, 2**bits - 1)
    raise ValueError("an archive without layers")


def read(path: Path) -> Arrays:
    """An archive's arrays."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def _exact(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def _chain(ops: list[Op], source: str) -> LayerGraph:
    first = ops[0]
    assert isinstance(first, Linear)
    nodes = [Node("x", None, (), (first.weight.shape[1],))]
    for place, op in enumerate(ops):
        shape = op.shape(nodes[-1].shape)
        name = f"{type(op).__name__.lower()}{place // 2}"
        nodes.append(Node(name, op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes), source)
