"""For test suites: a proved drift as an assertion."""

from typing import Any

from lipcert.certificate.certificate import Certificate
from lipcert.certificate.verdict import Verdict
from lipcert.certify import certify
from lipcert.graph.pair import Pair
from lipcert.report.report import Report
from lipcert.sets.region import Region


def assert_drift_below(pair: Pair, region: Region, max_drift: float, **how: Any) -> Certificate:
    """Proved: no output drifts by more than `max_drift` anywhere in the regions.

    Args:
        pair: from `load_pair`.
        region: Box, Ball or Grid, inputs of the networks' shape.
        max_drift: nonnegative, output units.
        how: passed to `certify`: method, placement, attack, watch.

    Raises:
        AssertionError: refuted or unproved, saying which and on which inputs.
    """
    __tracebackhide__ = True
    result = certify(pair, region, **how)
    report = Report(result, max_drift)
    failing = [(k, row) for k, row in enumerate(report.rows) if row.verdict is not Verdict.PROVED]
    if failing:
        lines = [report.sentence, *(f"  input {k}: {row.sentence}" for k, row in failing)]
        raise AssertionError("\n".join(lines))
    return result
