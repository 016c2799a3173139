"""A search for multipliers: gradient ascent on the bound that they give (`quadratic_form`)."""

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
    dominating,
    quadratic,
    spectrum_of,
    value,
)
from lipcert.methods.quadratic_neuron import Lines, Terms, candidates, lines_of
from lipcert.methods.tried import Tried

CURVE, FLOOR = 0.003, 1e-4  # first curvature, least root, of a neuron's own units
RATES = (0.18, 0.18, 0.9, 0.6, 0.2)  # of slopes, root, logarithm of shares, pull
SOFT = 0.02  # first temperature of the neurons' minima, of their ranges
MEANS = 0.9, 0.99  # of Adam's running means


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What one step of size one means for a layer's slopes and root; each (rows, batch, n)."""

    range: Tensor
    along_original: Tensor
    along_compressed: Tensor
    root: Tensor


@dataclass(slots=True, eq=False)
class Softly(Judge):
    """Averages of the neurons' functions near their minima, and estimates of eigenvalues."""

    lines: Sequence[Lines]
    units: Sequence[Units]
    softness: float = SOFT
    lost: Tensor | float = 0.0

    def least(self, place: int, layer: Hidden, terms: Terms) -> Tensor:
        """Weighted by how near to the minimum; what lies above it is kept in `lost`."""
        with torch.no_grad():
            places = candidates(layer, self.lines[place], terms)
            seen = places.of(terms, 1)
            least = seen.amin(-1, keepdim=True)
            width = self.softness * self.units[place].range[..., None]
            weight = torch.softmax((least - seen) / width, -1)
            mixed = places.mixed(weight)
        found = mixed.of(terms)
        self.lost = self.lost + (found.detach() - least[..., 0]).sum(-1)
        return found

    def split(self, place: int, quadratic: Quadratic) -> tuple[Tensor, Tensor]:
        """A bit above the largest eigenvalue."""
        with torch.no_grad():
            spectrum = values, vectors = spectrum_of(quadratic.gram())
            top, vector = values[..., -1], vectors[..., -1]
            level = (ABOVE * top).clamp(min=max(quadratic.lowest, 1e-30))
            at = dominating(quadratic, spectrum, level)
            rate = torch.where(level > quadratic.lowest, level / top, 0.0)
        image = ((quadratic.root * vector)[..., None, :] @ quadratic.weight)[..., 0, :]
        moved = rate * (image.square() / quadratic.share).sum(-1)
        share = quadratic.share * torch.where(rate > 0, moved, level)[..., None]
        return share, quadratic.value(share, at)


def searched(chain: Chain, after: Tensor, before: Tensor, steps: int) -> list[Multipliers]:
    """The best multipliers seen, of every hidden layer from the input on.

    Args:
        chain: the pair.
        after: coefficients of g's outputs, (rows, batch, outputs).
        before: coefficients of f's.
        steps: of Adam, their sizes falling to zero.
    """
    first, units = _started(chain, after, before)
    free = [_scaled(own, unit) for own, unit in zip(first, units, strict=True)]
    judge = Softly([lines_of(layer) for layer in chain.hidden], units)
    groups = [
        {"params": [part], "lr": rate}
        for parts in free
        for part, rate in zip(parts, RATES, strict=False)
    ]
    adam = torch.optim.Adam(groups, betas=MEANS, maximize=True)
    slower = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, steps)
    best, record = first, torch.full(after.shape[:2], -torch.inf, dtype=after.dtype)
    with torch.enable_grad():
        for step in range(steps):
            left = 1 - step / steps
            judge.softness, judge.lost = SOFT * left + 1e-4, 0.0
            found = [_plain(parts, unit) for parts, unit in zip(free, units, strict=True)]
            bound = value(chain, after, before, found, judge)
            hard = bound.detach() - judge.lost
            best = _better(best, found, hard > record)
            record = torch.maximum(hard, record)
            adam.zero_grad()
            bound.sum().backward()
            adam.step()
            slower.step()
    return best


def _scaled(own: Multipliers, unit: Units) -> list[Tensor]:
    """Free parameters of comparable sizes; the shares by their logarithms."""
    parts = [
        own.along_original / unit.along_original,
        own.along_compressed / unit.along_compressed,
        own.root / unit.root,
        own.share.log(),
    ]
    parts += [] if own.pull is None else [own.pull]
    return [part.clone().requires_grad_() for part in parts]


def _plain(parts: Sequence[Tensor], unit: Units) -> Multipliers:
    original, compressed, root, share, *pull = parts
    share = share.exp()
    return Multipliers(
        original * unit.along_original,
        compressed * unit.along_compressed,
        (root.abs() + FLOOR) * unit.root,
        share,
        pull[0] * share.detach().sqrt() if pull else None,
    )


def _better(
    old: Sequence[Multipliers], new: Sequence[Multipliers], wins: Tensor
) -> list[Multipliers]:
    """Row by row the new ones where they win."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(wins[..., None], b.detach(), a)

    return [
        Multipliers(
            pick(a.along_original, b.along_original),
            pick(a.along_compressed, b.along_compressed),
            pick(a.root, b.root),
            pick(a.share, b.share),
            None if a.pull is None or b.pull is None else pick(a.pull, b.pull),
        )
        for a, b in zip(old, new, strict=True)
    ]


def _started(chain: Chain, after: Tensor, before: Tensor) -> tuple[list[Multipliers], list[Units]]:
    """Slopes of the best planes, hardly any curvature."""
    found, units = list[Multipliers](), list[Units]()
    above = chain.compressed, chain.original
    for place in reversed(range(len(chain.hidden))):
        layer = chain.hidden[place]
        after, before = after @ above[0].weight, before @ above[1].weight
        tried = Tried.of(layer.activation, layer.quantiser, layer.twin)
        drift, tilt, _ = tried.best(after, before)
        unit = _units(layer, tried, after, before)
        root = CURVE**0.5 * unit.root
        after, before = drift, tilt - drift
        found.insert(0, _first(chain, place, Multipliers(before, after, root, root, None)))
        units.insert(0, unit)
        above = layer.compressed, layer.original
    return found, units


def _units(layer: Hidden, tried: Tried, after: Tensor, before: Tensor) -> Units:
    """A neuron's range of values, per width of what it reads."""
    seen = tried.hull.after[:, None] * after + tried.hull.before[:, None] * before
    span = (seen.amax(0) - seen.amin(0)).clamp(min=1e-9)
    widths = [
        (box.upper - box.lower).clamp(min=1e-6)
        for box in (layer.twin.original, layer.twin.compressed)
    ]
    curved = (span.sqrt() / widths[1]).gather(-1, layer.moving.expand(len(span), -1, -1))
    return Units(span, span / widths[0], span / widths[1], curved)


def _first(chain: Chain, place: int, own: Multipliers) -> Multipliers:
    """Shares that suit the slopes: of the input's corners, or of the columns' lengths."""
    if place:
        layer = chain.hidden[place]
        weight = layer.compressed.weight[layer.moving]
        size = (own.root[..., None] * weight).square().sum(-2)
        share = size + 1e-9 * size.amax(-1, keepdim=True) + 1e-30
        return Multipliers(*_slopes(own), own.root, share, torch.zeros_like(share))
    form = quadratic(chain, 0, own)
    corner = -form.linear.sign()
    image = form.root.square() * (form.weight @ corner[..., None])[..., 0]
    share = form.linear.abs() / 2 + corner * (image[..., None, :] @ form.weight)[..., 0, :]
    floor = 1e-3 * form.linear.abs().mean(-1, keepdim=True) + 1e-30
    return Multipliers(*_slopes(own), own.root, torch.maximum(share, floor), None)


def _slopes(own: Multipliers) -> tuple[Tensor, Tensor]:
    return own.along_original, own.along_compressed
