"""Probabilities from bounds on logits (entries, columns), and their drift."""

import numpy as np

from lipcert.check.operation import TINY, UNIT, Array, Box, down, meet, minus, up

FAR = 700.0  # exp of it is finite, and no subnormal of its negative


def image(logits: Box) -> Box:
    """Each probability rises in its own logit and falls in every other."""
    low, high = logits
    return down(_one(low, high, -1.0).clip(min=0)), up(_one(high, low, 1.0).clip(max=1))


def _one(own: Array, others: Array, side: float) -> Array:
    """1 / (1 + sum of exp(others_j - own_i) over j other than i), moved to a side by its error."""
    gaps = np.clip(others[None] - own[:, None], -FAR, FAR)
    terms = np.exp(gaps)
    terms[range(len(own)), range(len(own))] = 1.0
    value = 1 / terms.sum(1)
    pad = (64 + 2 * len(own)) * UNIT * (1 + np.abs(own) + np.abs(others).max(0))
    return value * (1 + side * pad) + side * TINY


def drift(original: Box, compressed: Box, least: Array, most: Array) -> Box:
    """Bounds on q - p, from boxes of p and q; of every entry the extremes over the others.

    With t between the extremes over j of the drift of logit j less that of logit i,
    q / (1 - q) = p / (1 - p) exp(-t), so that q - p falls in t and is extreme in p at an end or
    where p / (1 - p) = exp(t / 2).
    """
    found = [_at(original, np.clip(t, -FAR, FAR)) for t in (most, least)]
    below, above = found[0].min(0), found[1].max(0)
    return meet(minus(compressed, original), (down(below - 64 * UNIT), up(above + 64 * UNIT)))


def _at(original: Box, t: Array) -> Array:
    """Values of q - p at the places where it may be extreme."""
    peak = np.clip(1 / (1 + np.exp(-t / 2)), *original)
    places = np.stack([*original, peak])
    return -np.expm1(t) * places * (1 - places) / (places + (1 - places) * np.exp(t))
