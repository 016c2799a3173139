"""What counts over tested inputs say about untested ones: exact binomial intervals."""

from typing import Literal

from scipy.stats import beta

from lipcert.certificate.result import Coverage

CONFIDENCE = 0.95


def coverage(
    what: Literal["drift within threshold", "same label"], successes: int, trials: int
) -> Coverage:
    """The Clopper-Pearson interval of a share.

    Source:
        C. Clopper, E. Pearson, The use of confidence or fiducial limits illustrated in the case of
        the binomial, Biometrika 26, 1934.
    """
    tail = (1 - CONFIDENCE) / 2
    failures = trials - successes
    lower = float(beta.ppf(tail, successes, failures + 1)) if successes else 0.0
    upper = float(beta.ppf(1 - tail, successes + 1, failures)) if failures else 1.0
    return Coverage(
        what=what,
        successes=successes,
        trials=trials,
        confidence=CONFIDENCE,
        lower=lower,
        upper=upper,
    )
