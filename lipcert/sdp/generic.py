"""LipSDP as a plain conic program, for any solver: small networks, and the oracle of the tests."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import eye_array, vstack

from lipcert.sdp.chain import Chain
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Array
from solvers import ConicProgram, Nonneg, Psd
from solvers.array import Places, sparse
from solvers.cones import ROOT

Entries = tuple[Places, Places, Array]  # rows and columns of the matrix P, values


def generic(chain: Chain) -> ConicProgram:
    """Minimise rho subject to P(multipliers, rho) positive semidefinite, multipliers nonnegative.

    Variables: rho, then the multipliers in the order of the layers; P is `quadratic.assembled`,
    dense. The optimum is the square of the constant that LipSDP gives, up to the rounding of the
    program's own numbers. Errors of the chain's maps are left out: nothing is proved by this.
    """
    starts = np.cumsum([0, *chain.sizes, chain.output.size])
    cone = Psd(int(starts[-1]))
    identity = np.arange(chain.inputs)
    parts: list[Entries] = [(identity, identity, np.ones(chain.inputs))]
    for block, layer in enumerate(chain.layers, 1):
        parts.extend(_neurons(layer, block, starts))
    packed = [_packed(cone, part) for part in parts]
    row = np.concatenate([place for place, _ in packed])
    column = np.repeat(np.arange(len(packed)), [place.size for place, _ in packed])
    P = sparse((np.concatenate([value for _, value in packed]), (row, column)),
               (cone.rows, len(packed)))  # fmt: skip
    multipliers = eye_array(len(packed)).tocsr()[1:]
    A = -sparse(vstack([P, multipliers]))
    b = np.concatenate([_constant(chain, cone, starts), np.zeros(chain.neurons)])
    return ConicProgram(np.eye(1, len(packed))[0], A, b, (cone, Nonneg(chain.neurons)))


def _neurons(layer: Layer, block: int, starts: Places) -> Iterator[Entries]:
    """What one unit of each neuron's multiplier adds to P, in its lower triangle."""
    reads = sorted(layer.reads.weight.items())
    place = np.concatenate([starts[i] + np.arange(weight.shape[1]) for i, weight in reads])
    rows = np.concatenate([weight for _, weight in reads], axis=1)
    pairs = np.tril_indices(len(place))
    for i, weight in enumerate(rows):
        own = starts[block] + i
        middle = -(layer.lower[i] + layer.upper[i]) / 2
        product = layer.lower[i] * layer.upper[i]
        beside = (np.full(len(place), own), place, middle * weight)
        parts = [(np.array([own]), np.array([own]), np.ones(1)), beside]
        if product:
            squares = product * weight[pairs[0]] * weight[pairs[1]]
            parts.append((place[pairs[0]], place[pairs[1]], squares))
        yield (
            np.concatenate([row for row, _, _ in parts]),
            np.concatenate([column for _, column, _ in parts]),
            np.concatenate([value for _, _, value in parts]),
        )


def _constant(chain: Chain, cone: Psd, starts: Places) -> Array:
    """The output's rows of P and its identity, packed."""
    matrix = np.zeros((cone.order, cone.order))
    last = slice(starts[-2], starts[-1])
    matrix[last, last] = np.eye(chain.output.size)
    for block, weight in chain.output.weight.items():
        matrix[last, starts[block] : starts[block + 1]] = weight
    return cone.pack(matrix)


def _packed(cone: Psd, entries: Entries) -> tuple[Places, Array]:
    """Packed places and values of entries of the lower triangle, without zeros."""
    keep = entries[2] != 0
    row, column, value = entries[0][keep], entries[1][keep], entries[2][keep]
    place = column * cone.order - column * (column - 1) // 2 + row - column
    return place, np.where(row == column, 1.0, ROOT) * value
