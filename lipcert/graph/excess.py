"""What kernels may add to exact sums, found for a box of their inputs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Excess(ABC):
    """Of the kernel behind one node.

    Args:
        reads: the node whose value decides, by its name.
    """

    reads: str

    @abstractmethod
    def over(self, box: Interval) -> Interval | None:
        """Enclosure of executed less exact value of the node, (batch, *shape); None for zero.

        Args:
            box: of the value of `reads`, (batch, *shape).
        """
