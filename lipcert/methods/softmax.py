"""Drift of probabilities from the drift of logits."""

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval


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
