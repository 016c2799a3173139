"""What kernels may add to exact sums, found for a box of their inputs."""

from abc import ABC, abstractmethod

from lipcert.sets.enclosure import Interval


class Excess(ABC):
    """Of the kernel behind one node."""

    __slots__ = ()

    @abstractmethod
    def over(self, box: Interval) -> Interval | None:
        """Enclosure of executed less exact value of the node, (batch, *shape); None for zero.

        Args:
            box: of what the node reads, (batch, *shape).
        """
