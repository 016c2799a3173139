"""One block of neurons: the map that they read and the sector of their slopes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipcert.sdp.maps import Array, Maps


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Neurons of one activation.

    Args:
        name: of the activation's node.
        neurons: (size,) their flat coordinates at that node.
        reads: their pre-activations as maps of earlier blocks.
        lower: (size,) lower ends of the sectors.
        upper: (size,) upper ends.
    """

    name: str
    neurons: NDArray[np.integer[Any]]
    reads: Maps
    lower: Array
    upper: Array

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.lower)
