"""What every relaxation is: a way of proving a Lipschitz constant."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.slopes import Slopes
from lipcert.numeric.norm import Norm
from lipcert.numeric.placement import Placement
from lipcert.walk.progress import Watch, quiet


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A constant that is wanted.

    Args:
        graph: without a softmax at its end.
        slopes: finite sectors of every activation, (rows, *shape).
        norm: of inputs and outputs.
        rows: number of regions; one where the whole space is meant.
        placement: memory to keep to.
        limit_seconds: of a search; it then returns the best that it has proved.
        watch: told the stage and how far it is.
        searching: told the same by a search, which a KeyboardInterrupt from it ends like its limit.
    """

    graph: LayerGraph
    slopes: Slopes
    norm: Norm
    rows: int
    placement: Placement
    limit_seconds: float
    watch: Watch
    searching: Watch = quiet


@dataclass(frozen=True, slots=True, eq=False)
class Multipliers:
    """What a proof rests on, of one activation in one row.

    Args:
        row: of the region.
        node: the activation.
        neurons: (n,) its flat coordinates that are variables of the program.
        weights: (n,) float64.
    """

    row: int
    node: str
    neurons: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Proved:
    """A relaxation's answer, per row.

    Args:
        upper: u >= L, (rows,) float64, rounded up; infinite where nothing was proved.
        relaxation_lower: what the relaxation cannot beat, (rows,), in plain float64; zero where
            unknown. It says how good `upper` is and proves nothing.
        inflation: what the verification added to the square of the bound, relative to it, (rows,).
        multipliers: what the proof rests on, where it was found by a search.
    """

    upper: Tensor
    relaxation_lower: Tensor | None = None
    inflation: Tensor | None = None
    multipliers: tuple[Multipliers, ...] = ()


class Relaxation(ABC):
    """A way of bounding; its dataclass fields are its options."""

    words: ClassVar[str]  # its name for people
    norms: ClassVar[frozenset[Norm]]

    @abstractmethod
    def prove(self, task: Task) -> Proved | None:
        """A proved bound; None where the relaxation does not apply to such a network."""
