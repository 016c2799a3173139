"""Names of the arrays that programs are made of."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

Vector: TypeAlias = NDArray[np.float64]  # one axis
Dense: TypeAlias = NDArray[np.float64]  # two axes
Mask: TypeAlias = NDArray[np.bool_]  # one axis
Places: TypeAlias = NDArray[np.intp]  # one axis
Sparse: TypeAlias = Any  # a scipy.sparse array, whose entries scipy leaves untyped


def sparse(values: Any, shape: tuple[int, int] | None = None) -> Sparse:
    """A matrix as compressed sparse columns of float64."""
    return csc_array(values, shape=shape, dtype=np.float64)
