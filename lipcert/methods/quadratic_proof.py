"""Bounds with quadratic terms, proved for multipliers that come from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.dense_chain import Chain, Hidden
from lipcert.methods.quadratic_form import (
    ABOVE,
    Judge,
    Multipliers,
    Quadratic,
    curved,
    dominating,
    spectrum_of,
    value,
)
from lipcert.methods.quadratic_neuron import ROUNDING, Lines, Places, Terms, candidates, lines_of
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.numeric.spectral import largest_eigenvalue_upper
from lipcert.ops.linear import Linear


@dataclass(slots=True, eq=False)
class Proved(Judge):
    """Least values over all candidates, verified eigenvalues; collects the sizes of all terms.

    Args:
        lines: of every layer.
        rate: relative rounding of any of the sums and products.
        size: of all terms so far, (rows, batch).
    """

    lines: Sequence[Lines]
    rate: float
    size: Tensor

    def least(self, place: int, layer: Hidden, terms: Terms) -> Tensor:
        """Of all candidates."""
        self.size = self.size + _largest(layer).size(terms).sum(-1)
        return candidates(layer, self.lines[place], terms).of(terms, 1).amin(-1)

    def split(self, place: int, quadratic: Quadratic) -> tuple[Tensor, Tensor]:
        """What M loses where its least is not met exactly is bounded by the reach of d."""
        gram = quadratic.gram()
        known = gram.isfinite().all(-1).all(-1) & (quadratic.share > 0).all(-1)
        gram = torch.where(known[..., None, None], gram, 0.0)
        top = largest_eigenvalue_upper(gram)
        trace = inflate(gram.diagonal(dim1=-2, dim2=-1).sum(-1), gram.shape[-1])
        level = ABOVE * up(top.clamp(min=0) + up(self.rate * trace))
        level = level.clamp(min=max(quadratic.lowest, 1e-30))
        at = dominating(quadratic, spectrum_of(gram), level)
        share = quadratic.share * level[..., None]
        pulled = quadratic.root.square() * (quadratic.weight @ at[..., None])[..., 0]
        rest = quadratic.linear - 2 * (
            share * at - (pulled[..., None, :] @ quadratic.weight)[..., 0, :]
        )
        reach = quadratic.reach + at.abs()
        self.size = self.size + self._sizes(quadratic, share, at, reach)
        missed = inflate((rest.abs() * reach).sum(-1), rest.shape[-1])
        found = quadratic.value(share, at) - missed
        return share, torch.where(known & level.isfinite(), found, -torch.inf)

    def _sizes(self, quadratic: Quadratic, share: Tensor, at: Tensor, reach: Tensor) -> Tensor:
        weight, curve = quadratic.weight.abs(), quadratic.root.square()
        image = (weight @ at.abs()[..., None])[..., 0]
        back = ((curve * image)[..., None, :] @ weight)[..., 0, :]
        rest = quadratic.linear.abs() + 2 * share * at.abs() + 2 * back
        own = share * (1 + at.square()) + (quadratic.linear * at).abs()
        return (rest * reach).sum(-1) + own.sum(-1) + (curve * image.square()).sum(-1)


def proved(chain: Chain, after: Tensor, before: Tensor, found: Sequence[Multipliers]) -> Tensor:
    """Proved lower bound of `after g + before f` on the outputs, (rows, batch); else -inf.

    Args:
        chain: the pair.
        after: coefficients of g's outputs, (rows, batch, outputs).
        before: coefficients of f's.
        found: multipliers of every hidden layer, whatever they are.
    """
    judge = Proved(
        [lines_of(layer) for layer in chain.hidden],
        _rate(chain),
        _sizes(chain, after, before, found),
    )
    with torch.no_grad():
        least = value(chain, after, before, found, judge)
        least = down(least - up(2 * judge.rate * judge.size))
    return torch.where(least.isfinite(), least, -torch.inf)


def _rate(chain: Chain) -> float:
    """Relative error of sums as long as the whole chain, and of weights that are not exact."""
    ops = [chain.original, chain.compressed]
    ops += [op for layer in chain.hidden for op in (layer.original, layer.compressed)]
    terms = sum(sum(op.weight.shape) for op in ops) + 64
    return ROUNDING + 8 * (gamma(terms, torch.float64) + max(op.weight_error for op in ops))


def _sizes(chain: Chain, after: Tensor, before: Tensor, found: Sequence[Multipliers]) -> Tensor:
    """Of the terms that are linear in multipliers: products with weights and what they meet."""
    total = torch.zeros(after.shape[:2], dtype=torch.float64)
    above = chain.compressed, chain.original
    for place in reversed(range(len(found))):
        layer, own = chain.hidden[place], found[place]
        most = _largest(layer)
        total = (
            total + _through(above[0], after, most.code) + _through(above[1], before, most.value)
        )
        if own.pull is not None:
            below = _largest(chain.hidden[place - 1])
            total = total + (own.pull.abs() * (below.code + below.apart.sqrt())).sum(-1)
        after, before = own.along_compressed, own.along_original
        middle = _at(layer.compressed, _read(chain, place))
        spread = middle * (2 * most.away.sqrt() + middle)
        total = total + (curved(layer, own) * spread).sum(-1)
        above = layer.compressed, layer.original
    far = chain.centre.abs() + chain.radius
    return total + 2 * (_through(above[0], after, far) + _through(above[1], before, far))


def _read(chain: Chain, place: int) -> Tensor:
    return (chain.hidden[place - 1].codes if place else chain.centre).abs()


def _at(op: Linear, sizes: Tensor) -> Tensor:
    return sizes @ op.weight.abs().T + op.bias.abs()


def _through(op: Linear, coefficients: Tensor, sizes: Tensor) -> Tensor:
    return (coefficients.abs() * _at(op, sizes)).sum(-1)


def _largest(layer: Hidden) -> Places:
    """Sizes of everything a neuron's function may meet, (batch, n)."""
    z, y = layer.twin.original, layer.twin.compressed
    code = layer.quantiser.image(y).magnitude()
    away = (y.magnitude() + layer.middle.abs()).square()
    apart = (code + layer.codes.abs()).square()
    value = layer.activation.image(z).magnitude()
    return Places(code, value, z.magnitude() + y.magnitude(), y.magnitude(), away, apart)
