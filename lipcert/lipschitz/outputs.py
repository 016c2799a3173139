"""Constants of single outputs, or of the differences of two: what can move a label."""

import csv
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from lipcert.certificate.lipschitz import Role
from lipcert.certify import read_network
from lipcert.errors import BadInput
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.lipschitz.bound import LipschitzBound
from lipcert.lipschitz.prove import Asked, Effort, Part, body_of, bounds_of, parts_of
from lipcert.numeric.norm import Norm
from lipcert.ops.linear import Linear
from lipcert.sets.region import Region
from lipcert.walk.interrupt import noted
from lipcert.walk.progress import Watch, quiet

COLUMNS = ("output", "less", "network", "region", "proved", "by", "seen")


class Outputs(StrEnum):
    """Which functions of the outputs are bounded."""

    EACH = "each"
    """Every output by itself."""

    PAIRS = "pairs"
    """Every difference of two: a label cannot change while its lead is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class OutputBound:
    """Of one output, or of an output less another.

    Args:
        output: its place.
        less: of what is taken off; None for nothing.
        bounds: under the network's role.
    """

    output: int
    less: int | None
    bounds: Mapping[Role, LipschitzBound]

    @property
    def name(self) -> str:
        """For people."""
        return str(self.output) if self.less is None else f"{self.output} - {self.less}"

    def cells(self) -> list[tuple[str | int | float | None, ...]]:
        """A row per network and region, in the order of `COLUMNS`."""
        return [
            (self.output, self.less, role, row, upper, bound.method, seen)
            for role, bound in self.bounds.items()
            for row, (upper, seen) in enumerate(
                zip(bound.upper_per_region.tolist(), bound.seen.quotient.tolist(), strict=True)
            )
        ]


@dataclass(frozen=True, slots=True, eq=False)
class OutputBounds:
    r"""Of many functions c of the outputs: $|c f(x) - c f(x')| \le u \|x - x'\|$.

    Args:
        entries: one bound each; of two outputs, the difference is there once.
        logits: whether the outputs are those before a softmax.
    """

    entries: tuple[OutputBound, ...]
    logits: bool

    def upper(self, role: Role = "network") -> Tensor:
        """Proved, (functions, regions)."""
        return torch.stack([entry.bounds[role].upper_per_region for entry in self.entries])

    def observed(self, role: Role = "network") -> Tensor:
        """Largest difference quotients that were found, (functions, regions)."""
        return torch.stack([entry.bounds[role].seen.quotient for entry in self.entries])

    def facts(self) -> list[dict[str, str | int | float | None]]:
        """A mapping per function, network and region, for programs; null where not finite."""
        rows = (zip(COLUMNS, cells, strict=True) for e in self.entries for cells in e.cells())
        return [
            {k: v if not isinstance(v, float) or isfinite(v) else None for k, v in row}
            for row in rows
        ]

    def save(self, folder: str | Path) -> Path:
        """Write `outputs.csv` into a folder; returns its path."""
        path = Path(folder) / "outputs.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for entry in self.entries:
                table.writerows(entry.cells())
        return path


def lipschitz_by_output(
    network: str | Path | LayerGraph | Pair,
    outputs: Outputs | str = Outputs.PAIRS,
    *,
    norm: float | str = 2,
    region: Region | None = None,
    effort: Effort | None = None,
    watch: Watch = quiet,
) -> OutputBounds:
    """Proved and observed constants of every output, or of every difference of two.

    Each is bounded by itself: tighter than the joint constant, which is at least any output's and
    at least any difference's over the square root of two. Before a softmax the logits are meant.

    Args:
        network: a file, a graph, or a pair from `load_pair`.
        outputs: "each" or "pairs".
        norm: 1, 2 or inf, of the inputs.
        region: over which; None for all inputs whatever.
        effort: what each bound may cost; the first Ctrl-C ends all searches.
        watch: told the stage and how far it is.

    Raises:
        UnsupportedOp: an operation has no Lipschitz rule; all of them are named.
        BadInput: no such norm or outputs, outputs that are no vector, or inputs of another shape.
        Unsound: an observation contradicts a bound: a bug of ours.
    """
    whole, logits = _logits(network)
    with noted() as interrupt:
        asked = Asked(Norm.named(norm), region, effort or Effort(), watch, interrupt)
        parts = parts_of(whole, None, asked)
        chosen = _chosen(_kind(outputs), next(iter(parts.values())).graph)
        entries = [OutputBound(output, less, {}) for output, less in chosen]
        for done, entry in enumerate(entries):
            told = _told(watch, entry.name, done, len(entries))
            told("bounding", 0, 1)
            some: dict[Role, Part] = {r: _read_out(part, entry) for r, part in parts.items()}
            entries[done] = replace(entry, bounds=bounds_of(some, replace(asked, watch=told)))
    return OutputBounds(tuple(entries), logits)


def _told(watch: Watch, name: str, done: int, total: int) -> Watch:
    """The watch of one function's bounds."""
    return lambda stage, _done, _total: watch(f"output {name}: {stage}", done, total)


def _kind(outputs: Outputs | str) -> Outputs:
    try:
        return Outputs(outputs)
    except ValueError as error:
        raise BadInput(f"lipschitz: outputs must be each or pairs, got {outputs}") from error


def _logits(network: str | Path | LayerGraph | Pair) -> tuple[LayerGraph | Pair, bool]:
    """Without a softmax at the end, and whether there was one."""
    if isinstance(network, Pair):
        body = network.body()
        return body, body is not network
    graph = network if isinstance(network, LayerGraph) else read_network(network, None)
    body = body_of(graph)
    return body, body is not graph


def _chosen(outputs: Outputs, graph: LayerGraph) -> list[tuple[int, int | None]]:
    """Places of outputs and of what is taken off."""
    if len(graph.output.shape) != 1:
        raise BadInput(
            f"lipschitz: outputs of {graph.source} have shape {graph.output.shape}; single outputs "
            "are bounded where they are a vector"
        )
    places = range(graph.output.shape[0])
    if outputs is Outputs.EACH:
        return [(place, None) for place in places]
    return list(itertools.combinations(places, 2))


def _read_out(part: Part, entry: OutputBound) -> Part:
    """The network followed by one functional."""
    last = part.graph.output
    weight = torch.zeros(1, last.shape[0], dtype=torch.float64)
    weight[0, entry.output] = 1.0
    if entry.less is not None:
        weight[0, entry.less] = -1.0
    read = Node(f"{last.name}:read", Linear(weight, torch.zeros(1).double()), (last.name,), (1,))
    return replace(part, graph=replace(part.graph, nodes=(*part.graph.nodes, read)))
