"""Inputs that were found: whether they lie in their regions, and what they show."""

import numpy as np

from lipcert.certificate.disk import Stored
from lipcert.certificate.model import BoundTable, Table
from lipcert.certificate.verdict import Verdict
from lipcert.check.claim import Regions
from lipcert.check.operation import Box, Mask, minus
from lipcert.check.reader import hold, need

NEAR = 1e-9  # of what was observed in float64 to what follows, relative


def replayed(stored: Stored, f: Box, g: Box, regions: Regions, refutes: Mask) -> None:
    """Pass if inputs that were found lie in their regions and show what is said of them.

    Only some can refute: of a claim about executed networks those that they can read.
    """
    hold(stored.arrays["found"].shape[1:] == regions.lower.shape[1:], "inputs of another shape")
    result, threshold = stored.document.result, stored.document.claim.threshold
    drift, slack, surely = minus(g, f), NEAR * (1 + np.abs(f[0]) + np.abs(g[0])), 0.0
    members = [(entry.row, entry.input) for entry in result.counterexamples]
    assert result.observed is not None
    for name, values in zip(("lowest", "highest"), ends(result.observed), strict=True):
        places = stored.arrays[name]
        hold(places.shape == values.shape, f"the {name} drifts observed are not those of all rows")
        low, high, near = (side[places, np.arange(values.shape[1])] for side in (*drift, slack))
        shown = (low - near <= values) & (values <= high + near)
        hold(shown.all(), f"the {name} drifts observed are not what the inputs show")
        surely = max(surely, float((np.maximum(low, -high) * refutes[places]).max()))
        members += [(row, k) for row, some in enumerate(places.tolist()) for k in some]
    sure = result.status is not Verdict.REFUTED or surely > (threshold or 0.0)
    labels = {row for row, known in enumerate(result.agreement or ()) if known is Verdict.REFUTED}
    for entry in result.counterexamples:
        sure &= bool(refutes[entry.input])
        if entry.kind == "label":
            labels.discard(entry.row)
            sure &= apart(f, g, entry.input) or apart(g, f, entry.input)
        else:
            least = np.maximum(drift[0], -drift[1])[entry.input, entry.output]
            sure &= bool(threshold is not None and least > threshold)
    need(sure, "a counterexample on the edge of a step, or that is no float32")
    hold(not labels, "labels are refuted without an input")
    for row, k in sorted(set(members)):
        inside = k >= 0 and regions.inside(row, stored.arrays["found"][k].astype(float))
        hold(inside, f"row {row}: an input that was found lies outside its region")


def apart(first: Box, second: Box, k: int) -> bool:
    """Whether what surely is the largest output of one surely is not that of the other."""
    best = int(first[0][k].argmax())
    sure = first[0][k, best] > np.delete(first[1][k], best).max()
    return bool(sure and second[1][k, best] < second[0][k].max())


def ends(table: BoundTable | Table) -> Box:
    """As arrays; what is not claimed is infinite."""
    lower = np.array([[-np.inf if end is None else end for end in row] for row in table.lower])
    upper = np.array([[np.inf if end is None else end for end in row] for row in table.upper])
    return lower, upper
