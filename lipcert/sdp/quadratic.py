r"""The matrix P of LipSDP: nonnegative for a given rho means that L^2 <= rho.

With increments u of all blocks, multipliers $\lambda \ge 0$ and sectors $[\alpha, \beta]$,

$u' P u = \rho |u_0|^2 - |y|^2 + \sum_k \sum_i \lambda_{ki} (u_{ki} - \alpha_{ki} v_{ki})
(u_{ki} - \beta_{ki} v_{ki})$,

and the sum is never positive. The output y stands as a last block of its own with the identity on
its diagonal, so that no product of output weights is formed.
Source: Fazlyab, Robey, Hassani, Morari, Pappas, Efficient and accurate estimation of Lipschitz
constants for deep neural networks, NeurIPS 2019, with diagonal multipliers only.
"""

from collections.abc import Sequence

import numpy as np

from lipcert.sdp.blocks import Blocks
from lipcert.sdp.chain import Chain
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Array


def assembled(chain: Chain, multipliers: Sequence[Array], rho: float) -> Blocks:
    """P with the output as last block."""
    blocks = interior(chain, multipliers, rho)
    last = len(chain.layers) + 1
    blocks[last, last] = np.eye(chain.output.size)
    for block, weight in chain.output.weight.items():
        blocks[last, block] = weight
    return blocks


def interior(chain: Chain, multipliers: Sequence[Array], rho: float) -> Blocks:
    """P without the output."""
    blocks: Blocks = {(0, 0): rho * np.eye(chain.inputs)}
    for block, (layer, weights) in enumerate(zip(chain.layers, multipliers, strict=True), 1):
        add_layer(blocks, block, layer, weights)
    return blocks


def add_layer(blocks: Blocks, block: int, layer: Layer, multipliers: Array) -> None:
    """One layer's terms, its own diagonal block last of all so far."""
    blocks[block, block] = np.diag(multipliers)
    middle = -multipliers * (layer.lower + layer.upper) / 2
    product = multipliers * layer.lower * layer.upper
    reads = sorted(layer.reads.weight.items())
    for place, (i, weight) in enumerate(reads):
        blocks[block, i] = middle[:, None] * weight
        if product.any():
            for j, other in reads[: place + 1]:
                part = (weight.T * product) @ other
                blocks[i, j] = blocks[i, j] + part if (i, j) in blocks else part
