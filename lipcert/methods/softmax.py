"""Drift of probabilities from the drift of logits."""

import torch
from torch import Tensor

from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.methods.executed import FUNCTION
from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval

APART = 2.0**12  # executed logits lie closer, or nothing is known of probabilities
FAINT = 2.0**-80  # above what underflow takes


def executed_rates(pair: Pair, original: Interval, compressed: Interval) -> tuple[Tensor, Tensor]:
    """Above the relative errors of executed probabilities of f and g, (batch, 1).

    An exp is right to `FUNCTION` of itself times the larger of 1 and its argument; two of them, a
    sum and a quotient make a probability. Logits that are further apart than twice the rate have
    probabilities in the same order.

    Args:
        pair: whose semantics count; in exact arithmetic and without a softmax the rates are zero.
        original: logits of f, (batch, outputs).
        compressed: logits of g, likewise.
    """
    first, second = (
        _rate(box, pair.softmax and graph.semantics != Semantics.REAL)
        for graph, box in ((pair.original, original), (pair.compressed, compressed))
    )
    return first, second


def _rate(logits: Interval, executed: bool) -> Tensor:
    apart = (logits.upper.amax(-1, keepdim=True) - logits.lower.amin(-1, keepdim=True)).clamp(min=1)
    if not executed:
        return torch.zeros_like(apart)
    rate = 3 * FUNCTION * apart + (logits.lower.shape[-1] + 8) * 2.0**-23
    return torch.where(apart < APART, rate, torch.inf)


def as_executed(
    boxes: tuple[Interval, Interval, Interval], rates: tuple[Tensor, Tensor]
) -> tuple[Interval, Interval, Interval]:
    """Boxes of the drift and of both probabilities with what executing a softmax adds."""
    drift, *both = boxes
    if not any(bool(rate.any()) for rate in rates):
        return boxes
    errors = [
        up(up(p.upper.clamp(min=FAINT) * rate) + FAINT).clamp(max=1.01)
        for p, rate in zip(both, rates, strict=True)
    ]
    first, second = (p.plus(Interval(-e, e)) for p, e in zip(both, errors, strict=True))
    total = up(errors[0] + errors[1])
    return drift.plus(Interval(-total, total)), first, second


def through_softmax(
    original: Interval, compressed: Interval, contrast: Interval
) -> tuple[Interval, Interval, Interval]:
    r"""Bounds on the drift of softmax outputs, and on both softmax outputs.

    With $r = 1/p_i - 1$ of f, g has $r m$ where $m$ lies between the extremes over $j \ne i$ of
    $\exp(\delta_j - \delta_i)$. The drift $1/(1 + r m) - 1/(1 + r)$ falls in m, and for fixed m its
    extremum in r is at $1/\sqrt m$, with value $(1 - \sqrt m) / (1 + \sqrt m)$.

    Args:
        original: logits of f, (batch, outputs).
        compressed: logits of g, (batch, outputs).
        contrast: drift of logit i less drift of logit j, (batch, outputs, outputs).
    """
    first, second = Softmax().image(original), Softmax().image(compressed)
    diagonal = torch.eye(contrast.lower.shape[-1], dtype=torch.bool, device=first.lower.device)
    most = (-contrast.lower).masked_fill(diagonal, -torch.inf).amax(-1)
    least = (-contrast.upper).masked_fill(diagonal, torch.inf).amin(-1)
    far = 500.0 if most.dtype == torch.float64 else 80.0  # exp of it is finite, and no subnormal
    lower = _extreme(most.clamp(-far, far), first, most > far, -1.0)
    upper = _extreme(least.clamp(-far, far), first, least < -far, 1.0)
    drift = second.minus(first).intersect(Interval(lower, upper))
    return drift, first, second


def _extreme(log_ratio: Tensor, probability: Interval, unknown: Tensor, sign: float) -> Tensor:
    """Bound of the drift at one extreme ratio: below for sign -1, above for sign 1.

    Wherever the ratio cannot raise (or lower) the drift the bound at either end of the range of p
    is on the safe side of it, since the drift is unimodal in r.
    """
    tiny = torch.finfo(log_ratio.dtype).tiny
    odds = [
        down(down(1 / probability.upper.clamp(min=tiny)) - 1).clamp(min=0),
        up(up(1 / probability.lower.clamp(min=tiny)) - 1),
    ]
    peak = torch.exp(-log_ratio / 2).clamp(min=odds[0]).minimum(odds[1])
    ratio = torch.exp(log_ratio)
    seen = [1 / (1 + r * ratio) - 1 / (1 + r) for r in (*odds, peak)]
    at_zero = torch.where(probability.lower < tiny, torch.zeros_like(peak), seen[0])  # r unbounded
    values = torch.stack([*seen, at_zero])
    pad = 128 * unit_roundoff(ratio.dtype) * (1 + log_ratio.abs())
    if sign < 0:
        return torch.where(unknown, -torch.ones_like(pad), down(values.amin(0) - pad))
    return torch.where(unknown, torch.ones_like(pad), up(values.amax(0) + pad))
