"""One call from a network, or a pair, to its Lipschitz constants."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import overload

import torch

from lipcert.certificate.lipschitz import Role
from lipcert.certify import Network, read_network
from lipcert.errors import BadInput
from lipcert.gain.affine import softmax_gain
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.graph.simplify import simplify
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.bound import LipschitzBound, Origin, PairBounds
from lipcert.lipschitz.relaxation import Proved, Task
from lipcert.lipschitz.relaxations import scan
from lipcert.lipschitz.slopes import Slopes, everywhere, known, within
from lipcert.numeric.norm import Norm
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import up
from lipcert.ops.softmax import Softmax
from lipcert.read.facts import network_facts
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.guard import direct_arithmetic
from lipcert.walk.interrupt import Interrupt, noted
from lipcert.walk.progress import Watch, quiet

LIMIT_SECONDS = 60.0
SUM = "sum of both"  # a bound of the difference


@dataclass(frozen=True, slots=True)
class Effort:
    """What a bound may cost.

    Args:
        limit_seconds: of one search for multipliers, which then proves the best that it has.
        ascent: the search for large difference quotients.
        placement: memory to keep to.
    """

    limit_seconds: float = LIMIT_SECONDS
    ascent: Ascent = field(default_factory=Ascent)
    placement: Placement = field(default_factory=Placement)


@overload
def lipschitz(
    network: Pair,
    *,
    norm: float | str = 2,
    region: Region | None = None,
    shape: tuple[int, ...] | None = None,
    effort: Effort | None = None,
    watch: Watch = quiet,
) -> PairBounds: ...
@overload
def lipschitz(
    network: Network | LayerGraph,
    *,
    norm: float | str = 2,
    region: Region | None = None,
    shape: tuple[int, ...] | None = None,
    effort: Effort | None = None,
    watch: Watch = quiet,
) -> LipschitzBound: ...
def lipschitz(
    network: Network | LayerGraph | Pair,
    *,
    norm: float | str = 2,
    region: Region | None = None,
    shape: tuple[int, ...] | None = None,
    effort: Effort | None = None,
    watch: Watch = quiet,
) -> LipschitzBound | PairBounds:
    """Proved and observed Lipschitz constants in exact arithmetic.

    Args:
        network: a file, a module, a graph, or a pair from `load_pair`.
        norm: 1, 2 or inf, of inputs and outputs alike.
        region: over which; None for all inputs whatever. Of a Grid, its hull.
        shape: of one input without the batch axis; needed for modules.
        effort: what it may cost; the first Ctrl-C ends all its searches with their best so far.
        watch: told the stage and how far it is.

    Returns:
        One bound, or of a pair three: of f, g and g - f.

    Raises:
        UnsupportedOp: an operation has no Lipschitz rule; all of them are named.
        BadInput: the norm is no norm, or the region's inputs have another shape.
        Unsound: an observation contradicts a bound: a bug of ours.
    """
    with noted() as interrupt:
        asked = Asked(Norm.named(norm), region, effort or Effort(), watch, interrupt)
        found = bounds_of(parts_of(network, shape, asked), asked)
    return PairBounds(**found) if isinstance(network, Pair) else found["network"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is bounded in one role.

    Args:
        graph: simplified.
        slopes: sectors of its activations.
        read: before anything was folded; None for a difference.
    """

    graph: LayerGraph
    slopes: Slopes
    read: LayerGraph | None


def parts_of(
    network: Network | LayerGraph | Pair, shape: tuple[int, ...] | None, asked: "Asked"
) -> dict[Role, Part]:
    """One network; or two and their difference, whose activations are those of both."""
    if not isinstance(network, Pair):
        read = network if isinstance(network, LayerGraph) else read_network(network, shape)
        graph = simplify(read)
        return {"network": Part(graph, _slopes(graph, asked), read)}
    pair = _alone(network)
    f, g = pair.original, pair.compressed
    first, second = (_slopes(graph, asked) for graph in (f, g))
    both = {f"original:{name}": sector for name, sector in first.items()}
    both |= {f"compressed:{name}": sector for name, sector in second.items()}
    read = pair.read or (f, g)
    return {
        "original": Part(f, first, read[0]),
        "compressed": Part(g, second, read[1]),
        "difference": Part(pair.joined(), both, None),
    }


def bounds_of(
    parts: Mapping[Role, Part], asked: "Asked", given: Mapping[Role, LipschitzBound] | None = None
) -> dict[Role, LipschitzBound]:
    """Of all parts but those given; a difference has no more than both of its networks together."""
    found = dict(given or {})
    found |= {role: _bound(part, asked) for role, part in parts.items() if role not in found}
    if "difference" in found:
        last, both = found["difference"], (found["original"], found["compressed"])
        total = up(both[0].upper_per_region + both[1].upper_per_region)
        found["difference"] = replace(last, proofs={**last.proofs, SUM: Proved(total)})
    return found


def _alone(pair: Pair) -> Pair:
    """Without the zero rows that a pair puts where channels were pruned."""
    if pair.read is None:
        return pair
    own = simplify(pair.read[1])
    sizes = {node.name: node.shape for node in own.nodes}
    nodes = pair.compressed.nodes
    widened = any(sizes.get(node.name, node.shape) != node.shape for node in nodes)
    return replace(pair, compressed=own, nodes=()) if widened else pair


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a network."""

    norm: Norm
    region: Region | None
    effort: Effort
    watch: Watch
    interrupt: Interrupt


def _slopes(graph: LayerGraph, asked: Asked) -> Slopes:
    """Sectors of every activation over the region."""
    region = asked.region
    known(graph)
    if region is None:
        return everywhere(graph)
    if region.shape != graph.input.shape:
        raise BadInput(
            f"region: inputs have shape {region.shape}, but '{graph.input.name}' of "
            f"{graph.source} reads {graph.input.shape}"
        )
    with direct_arithmetic():
        return within(body_of(graph), region, asked.effort.placement, asked.watch)


def body_of(graph: LayerGraph) -> LayerGraph:
    """Without a softmax at its end."""
    if isinstance(graph.output.op, Softmax):
        return replace(graph, nodes=graph.nodes[:-1])
    return graph


def _bound(part: Part, asked: Asked) -> LipschitzBound:
    """Of one part."""
    graph, slopes, read, effort = part.graph, part.slopes, part.read, asked.effort
    start = time.perf_counter()
    with direct_arithmetic():
        proofs = _proofs(graph, slopes, asked)
        told = asked.interrupt.ending(asked.watch)
        seen = effort.ascent.observe(graph, asked.region, asked.norm, effort.placement, told)
    origin = Origin(
        content_sha256=graph.content_hash(),
        network=None if read is None else network_facts(read, read.path),
        seed=effort.ascent.seed,
        seconds=time.perf_counter() - start,
        jumps=any(not bool(s.magnitude().isfinite().all()) for s in slopes.values()),
    )
    return LipschitzBound(graph.source, asked.norm, asked.region, proofs, seen, origin)


def _proofs(graph: LayerGraph, slopes: Slopes, asked: Asked) -> dict[str, Proved]:
    """What every relaxation that applies proves."""
    body, effort = body_of(graph), asked.effort
    factor = 1.0 if body is graph else softmax_gain()
    rows = 1 if asked.region is None else asked.region.batch
    smooth, steps = _without_steps(slopes, rows)
    task = Task(
        graph=body,
        slopes=smooth,
        norm=asked.norm,
        rows=rows,
        placement=effort.placement,
        limit_seconds=effort.limit_seconds,
        watch=asked.watch,
        searching=asked.interrupt.ending(asked.watch),
    )
    found: dict[str, Proved] = {}
    for relaxation in (kind() for kind in scan().values()):
        proof = relaxation.prove(task) if asked.norm in relaxation.norms else None
        if proof is not None:
            upper = proof.upper.masked_fill(proof.upper.isnan() | steps, torch.inf)
            found[relaxation.words] = replace(
                proof, upper=up(upper * factor) if factor < 1 else upper
            )
    return found


def _without_steps(slopes: Slopes, rows: int) -> tuple[Slopes, torch.Tensor]:
    """Slopes made finite, and the rows in which some were not: staircases have no constant."""
    steps = torch.zeros(rows, dtype=torch.bool)
    smooth: dict[str, Interval] = {}
    for name, sector in slopes.items():
        steep = ~sector.magnitude().isfinite()
        steps |= steep.flatten(1).any(1)
        smooth[name] = Interval(
            sector.lower.masked_fill(steep, 0), sector.upper.masked_fill(steep, 0)
        )
    return smooth, steps
