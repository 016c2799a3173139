r"""Lower bounds of functionals on a dense pair, with a quadratic in every sum of g.

Any multipliers give a proof. From the outputs down, rows $P q + R \sigma$ on a layer's values
turn into

    least of [P q(y) + R \sigma(z) - a z - b y + D (y - m)^2 - T (q(y) - k)^2]   neuron by neuron
    + a z + b y                                                    passed on to the layer below
    - D (y - m)^2 >= -T' d^2 - u d + (least of d M d + u d)        with d the values below, less k

where $y - m = V d$ and $M = diag(T') - V^T diag(D) V$ is positive semidefinite: sums of many values
cannot all be far from their middles at once, which no linear bound knows. On the input d lies in a
box and u is all of the linear part (Shor's relaxation of a quadratic over a box).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.dense_chain import Chain, Hidden
from lipcert.methods.quadratic_neuron import Terms

ABOVE = 1.02  # shares beyond what dominates: M is then well away from singular

Spectrum = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Multipliers:
    """Of one hidden layer of n neurons that reads i values.

    Args:
        along_original: a, (rows, batch, n).
        along_compressed: b, (rows, batch, n).
        root: square root of D of the neurons that move, (rows, batch, moving); of others D is 0.
        share: T' up to a common factor, positive, (rows, batch, i).
        pull: u, (rows, batch, i); None on the input.
    """

    along_original: Tensor
    along_compressed: Tensor
    root: Tensor
    share: Tensor
    pull: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Quadratic:
    """`-(root V d)^2` beside a linear part, and how far d reaches.

    Args:
        root: of the neurons that move, (rows, batch, moving).
        weight: their rows of V, (batch, moving, i).
        share: T' up to a factor, (rows, batch, i).
        linear: (rows, batch, i).
        reach: of |d|, (batch, i).
        lowest: smallest factor allowed.
    """

    root: Tensor
    weight: Tensor
    share: Tensor
    linear: Tensor
    reach: Tensor
    lowest: float

    def gram(self) -> Tensor:
        """Of V between root and share^-1/2, (rows, batch, moving, moving); M >= 0 below one."""
        factor = self.root[..., None] * self.weight
        return (factor / self.share[..., None, :]) @ factor.mT

    def value(self, share: Tensor, at: Tensor) -> Tensor:
        """Least of `d M d + linear d` where it is taken at -at, (rows, batch)."""
        image = self.root * (self.weight @ at[..., None])[..., 0]
        return (share * at.square() - self.linear * at).sum(-1) - image.square().sum(-1)


class Judge(ABC):
    """How the two minima are found: for a search, or for a proof."""

    @abstractmethod
    def least(self, place: int, layer: Hidden, terms: Terms) -> Tensor:
        """Of every neuron's function, (rows, batch, n)."""

    @abstractmethod
    def split(self, place: int, quadratic: Quadratic) -> tuple[Tensor, Tensor]:
        """Shares that dominate, (rows, batch, i), and the least of the rest, (rows, batch)."""


def value(
    chain: Chain, after: Tensor, before: Tensor, found: Sequence[Multipliers], judge: Judge
) -> Tensor:
    """Lower bound of `after g + before f` on the outputs, (rows, batch), up to rounding.

    Args:
        chain: the pair.
        after: coefficients of g's outputs, (rows, batch, outputs).
        before: coefficients of f's.
        found: multipliers of every hidden layer, from the input on.
        judge: finds the minima.
    """
    above = chain.compressed, chain.original
    total, zero = after.new_zeros(after.shape[:2]), torch.zeros_like(found[-1].along_original)
    pull, share = zero, zero
    for place in reversed(range(len(found))):
        layer, own = chain.hidden[place], found[place]
        total = total + after @ above[0].bias + before @ above[1].bias
        total = total + (pull * layer.codes).sum(-1)
        slopes = own.along_original, own.along_compressed
        terms = Terms(
            after @ above[0].weight - pull,
            before @ above[1].weight,
            *slopes,
            curved(layer, own),
            share,
        )
        total = total + judge.least(place, layer, terms).sum(-1)
        before, after = slopes
        above = layer.compressed, layer.original
        share, rest = judge.split(place, quadratic(chain, place, own))
        total = total + rest
        pull = own.pull if own.pull is not None else zero
    bottom = chain.hidden[0]
    total = total + (before * bottom.original.value(chain.centre)).sum(-1)
    return total + (after * bottom.middle).sum(-1) - share.sum(-1)


def curved(layer: Hidden, own: Multipliers) -> Tensor:
    """D of all neurons, (rows, batch, n)."""
    where = layer.moving.expand_as(own.root)
    return torch.zeros_like(own.along_original).scatter(-1, where, own.root.square())


def quadratic(chain: Chain, place: int, own: Multipliers) -> Quadratic:
    """What a layer's multipliers leave to what it reads; the input is measured in its radius."""
    layer = chain.hidden[place]
    weight = layer.compressed.weight[layer.moving]
    if own.pull is not None:
        below = chain.hidden[place - 1]
        box = below.quantiser.image(below.twin.compressed)
        reach = box.radius(below.codes)
        return Quadratic(own.root, weight, own.share, own.pull, reach, 0.0)
    v, w = (op.weight * chain.radius[:, None] for op in (layer.compressed, layer.original))
    linear = own.along_compressed[..., None, :] @ v + own.along_original[..., None, :] @ w
    one = torch.ones_like(chain.radius)
    weight = weight * chain.radius[:, None]
    return Quadratic(own.root, weight, own.share, linear[..., 0, :], one, 1.0)


def spectrum_of(gram: Tensor) -> Spectrum:
    """Eigenvalues, ascending, and vectors; those of zero where there is none."""
    known = gram.isfinite().all(-1).all(-1)[..., None, None]
    return torch.linalg.eigh(torch.where(known, gram, 0.0))


def dominating(quadratic: Quadratic, spectrum: Spectrum, level: Tensor) -> Tensor:
    """Where `d M d + linear d` is least, negated, with M of shares times `level`.

    Args:
        quadratic: the form.
        spectrum: eigenvalues and vectors of its gram matrix.
        level: factor of the shares, (rows, batch), above all eigenvalues.
    """
    shares = quadratic.share * level[..., None]
    scaled = quadratic.linear / shares
    image = quadratic.root * (quadratic.weight @ scaled[..., None])[..., 0]
    values, vectors = spectrum
    along = (image[..., None, :] @ vectors)[..., 0, :] / (1 - values / level[..., None])
    solved = (vectors @ along[..., None])[..., 0] * quadratic.root
    back = (solved[..., None, :] @ quadratic.weight)[..., 0, :] / shares
    return (scaled + back) / 2
