"""Probabilities from bounds on logits (entries, columns), and their drift."""

import numpy as np

from lipcert.check.operation import TINY, UNIT, Array, Box, down, meet, minus, up

FAR = 700.0  # exp of it is finite, and no subnormal of its negative
CLOSE = 2.0**-20  # relative error of an executed exp, of arguments up to 1; beyond, times these
APART = 2.0**12  # logits that are executed lie closer, or nothing is known
FAINT = 2.0**-80  # above what underflow takes


def image(logits: Box, executed: bool) -> Box:
    """Each probability rises in its own logit and falls in every other."""
    low, high = logits
    low, high = down(_one(low, high, -1.0).clip(min=0)), up(_one(high, low, 1.0).clip(max=1))
    slip = np.minimum(high * rate(logits, executed) + FAINT, 1.01)
    return down(low - slip), up(high + slip)


def rate(logits: Box, executed: bool) -> Array:
    """Above the relative error of executed probabilities: of two exps, a sum and a quotient.

    If logits are further apart than twice as much, they and the probabilities have one order.
    """
    if not executed:
        return np.zeros(1)
    apart = np.maximum(logits[1].max(0) - logits[0].min(0), 1.0)
    return np.where(apart < APART, 3 * CLOSE * apart + (len(logits[0]) + 8) * 2.0**-23, np.inf)


def _one(own: Array, others: Array, side: float) -> Array:
    """1 / (1 + sum of exp(others_j - own_i) over j other than i), moved to a side by its error."""
    gaps = np.clip(others[None] - own[:, None], -FAR, FAR)
    terms = np.exp(gaps)
    terms[range(len(own)), range(len(own))] = 1.0
    value = 1 / terms.sum(1)
    pad = (64 + 2 * len(own)) * UNIT * (1 + np.abs(own) + np.abs(others).max(0))
    return value * (1 + side * pad) + side * TINY


def drift(original: Box, compressed: Box, ends: Box, slip: Array) -> Box:
    """Bounds on q - p, both off by a slip together, from boxes of p and q.

    Of every entry the ends are least and most drift of any other logit less that of its own.

    With t between the extremes over j of the drift of logit j less that of logit i,
    q / (1 - q) = p / (1 - p) exp(-t), so that q - p falls in t and is extreme in p at an end or
    where p / (1 - p) = exp(t / 2).
    """
    p = np.clip(original[0], 0, 1), np.clip(original[1], 0, 1)
    found = [_at(p, np.clip(t, -FAR, FAR)) for t in ends[::-1]]
    below, above = found[0].min(0), found[1].max(0)
    slip = slip + 64 * UNIT
    return meet(minus(compressed, original), (down(below - slip), up(above + slip)))


def _at(original: Box, t: Array) -> Array:
    """Values of q - p where it may be extreme: at ends, and where it is -tanh(t / 4)."""
    places, peak = np.stack(original), 1 / (1 + np.exp(-t / 2))
    values = -np.expm1(t) * places * (1 - places) / (places + (1 - places) * np.exp(t))
    inside = (original[0] <= peak) & (peak <= original[1])
    return np.stack([*values, np.where(inside, -np.tanh(t / 4), values[0])])
