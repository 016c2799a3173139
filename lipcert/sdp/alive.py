"""Leaving out neurons that cannot matter: never moved, or never read."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Maps, Mask


def alive(inputs: int, layers: Sequence[Layer], output: Maps) -> tuple[tuple[Layer, ...], Maps]:
    """Layers and output maps without neurons that read or are read with zero weight only.

    A neuron with zero increment before it has zero increment behind it, so nothing is lost.
    """
    moved = _moved(inputs, layers)
    read = _read(inputs, layers, output)
    keep = {block: moved[block] & read[block] for block in moved}
    keep[0] = np.ones(inputs, dtype=bool)
    blocks = [0, *(b for b in range(1, len(layers) + 1) if keep[b].any())]
    number = {block: place for place, block in enumerate(blocks)}

    def cut(maps: Maps) -> Maps:
        left = maps.columns(keep)
        weight = {number[b]: part for b, part in left.weight.items()}
        return Maps(left.size, weight, {number[b]: part for b, part in left.error.items()})

    kept = [(layers[b - 1], keep[b]) for b in blocks[1:]]
    return tuple(
        replace(
            layer,
            neurons=layer.neurons[mask],
            reads=cut(layer.reads.rows(mask)),
            lower=layer.lower[mask],
            upper=layer.upper[mask],
        )
        for layer, mask in kept
    ), cut(output)


def _moved(inputs: int, layers: Sequence[Layer]) -> dict[int, Mask]:
    """Neurons with some nonzero path from the input."""
    moved = {0: np.ones(inputs, dtype=bool)}
    for block, layer in enumerate(layers, 1):
        moved[block] = layer.reads.columns(moved).nonzero()
    return moved


def _read(inputs: int, layers: Sequence[Layer], output: Maps) -> dict[int, Mask]:
    """Neurons with some nonzero path to the output."""
    sizes = [inputs, *(layer.size for layer in layers)]
    read = {block: np.zeros(size, dtype=bool) for block, size in enumerate(sizes)}
    for block in output.weight:
        read[block] |= output.reads(block)
    for number in range(len(layers), 0, -1):
        needed = layers[number - 1].reads.rows(read[number])
        for block in needed.weight:
            read[block] |= needed.reads(block)
    return read
