"""Exact binomial intervals, checked by summing the tails."""

from math import exp, fsum, lgamma, log, log1p

NEAR = 1e-6  # relative, of a tail: intervals are told in float64


def is_interval(wins: int, trials: int, confidence: float, ends: tuple[float, float]) -> bool:
    """Whether these are the ends of Clopper and Pearson: either tail holds half of the doubt."""
    lower, upper = ends
    losses, tail = trials - wins, (1 - confidence) / 2
    if losses < 0 or not 0 <= lower <= upper <= 1:
        return False
    return _ends(wins, trials, lower, tail) and _ends(losses, trials, 1 - upper, tail)


def _ends(wins: int, trials: int, share: float, tail: float) -> bool:
    """Whether that many successes or more have the tail's probability at a share."""
    if wins == 0 or share == 0:
        return wins == share == 0
    return abs(_at_least(wins, trials, share) - tail) <= NEAR * tail


def _at_least(wins: int, trials: int, share: float) -> float:
    if share == 1:
        return 1.0
    odds, every = log(share) - log1p(-share), trials * log1p(-share) + lgamma(trials + 1)
    logs = (
        every + k * odds - lgamma(k + 1) - lgamma(trials - k + 1) for k in range(wins, trials + 1)
    )
    return fsum(map(exp, logs))
