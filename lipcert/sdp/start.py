r"""Feasible multipliers at once: one number per layer.

Eliminating a new layer's own neurons leaves $P - s A' r^2 A$ of the earlier blocks, with r half
the width of the sectors: positive as long as $s \lambda_{max}(r A P^{-1} A' r) < 1$, and half of
that is taken. For ReLU chains these are the multipliers of ECLipsE-Fast.
Source: Xu, Sivaranjani, ECLipsE: efficient compositional Lipschitz constant estimation for deep
neural networks, NeurIPS 2024.
"""

import numpy as np
from scipy.linalg import eigh

from lipcert.sdp.blocks import Factor, factor
from lipcert.sdp.chain import Chain
from lipcert.sdp.maps import Array, Maps
from lipcert.sdp.quadratic import add_layer, interior

LEAST = 1e-60  # of what a layer sees: more than one that hardly moves, and no overflow


def start(chain: Chain) -> tuple[Array, ...]:
    """Multipliers for which P without the output is positive definite at rho = 1."""
    blocks = interior(chain, [], 1.0) if not chain.layers else {(0, 0): np.eye(chain.inputs)}
    found: list[Array] = []
    for block, layer in enumerate(chain.layers, 1):
        done = factor(chain.sizes[:block], blocks)
        assert done is not None, "the start is positive definite by construction"
        radius = (layer.upper - layer.lower) / 2
        seen = radius[:, None] * reached(done, layer.reads) * radius
        found.append(np.full(layer.size, 1 / (2 * max(largest(seen), LEAST))))
        add_layer(blocks, block, layer, found[-1])
    return tuple(found)


def reached(done: Factor, maps: Maps) -> Array:
    """A P^{-1} A' of the maps A."""
    half = done.forward({block: weight.T for block, weight in maps.weight.items()})
    return np.sum([part.T @ part for part in half.values()], axis=0)


def largest(matrix: Array) -> float:
    """Largest eigenvalue of a symmetric matrix."""
    last = len(matrix) - 1
    return float(eigh(matrix, eigvals_only=True, subset_by_index=[last, last])[0])
