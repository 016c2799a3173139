"""Lipschitz constants by the peer eclipse-nn 0.1.7 (MIT): ECLipsE and ECLipsE-Fast.

Install it as `requirements.txt` says. Read off the release: ECLipsE solves one small program per
layer by SCS through cvxpy; where a layer's answer is not positive it falls back on ECLipsE-Fast for
the whole network and prints so. Both end with the constant of their last multipliers in float64,
which is not verified.
"""

import contextlib
import importlib
import io
import math
from collections.abc import Sequence

from torch import Tensor
from torch.linalg import LinAlgError

from benchmarks.peers.auto_lirpa import PeerMissingError

INSTALL = "pip install --no-deps eclipse-nn==0.1.7"


def constant(weights: Sequence[Tensor], method: str) -> tuple[float, str]:
    """Claimed Lipschitz constant of a ReLU network, and a remark.

    Args:
        weights: (outputs, inputs) of each layer, float64.
        method: "ECLipsE" or "ECLipsE_Fast".

    Returns:
        NaN where its arithmetic broke down.

    Raises:
        PeerMissingError: where it is not installed.
    """
    said = io.StringIO()
    estimator = eclipse().LipConstEstimator(weights=list(weights))
    try:
        with contextlib.redirect_stdout(said):
            value = float(estimator.estimate(method))
    except LinAlgError:
        return math.nan, "failed: a singular matrix"
    return value, "fell back" if "Falling back" in said.getvalue() else ""


def eclipse() -> object:
    """The package.

    Raises:
        PeerMissingError: where it is not installed.
    """
    try:
        return importlib.import_module("eclipse_nn")
    except ImportError as error:
        raise PeerMissingError(f"{error}; to compare with it: {INSTALL}") from error
