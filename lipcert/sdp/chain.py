"""A network as a chain of neuron blocks: what LipSDP knows of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.errors import BadInput, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Elementwise
from lipcert.sdp.alive import alive
from lipcert.sdp.forward import check
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Maps
from lipcert.sdp.pull import Source, maps_of_node, maps_of_rows
from lipcert.sets.enclosure import Interval

EVERYWHERE = 1e300  # box on which a slope is asked that must hold on the whole line
KNOWN = 2.0**-40  # relative width of a sector below which the neuron is one of known slope


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Increments of a network: block 0 is the input, block k the neurons of `layers[k - 1]`.

    For any two inputs (of the region, where slopes hold on a region) the increments u of all
    blocks satisfy, with v_k = layers[k - 1].reads of the earlier blocks,
    (u_k - lower v_k) (upper v_k - u_k) >= 0, neuron by neuron; `output` maps them to the output's.

    Args:
        inputs: size of block 0.
        layers: in topological order.
        output: rows whose joint l2 norm is bounded.
    """

    inputs: int
    layers: tuple[Layer, ...]
    output: Maps

    @classmethod
    def of(
        cls,
        graph: LayerGraph,
        slopes: Mapping[str, Interval] | None = None,
        outputs: Tensor | None = None,
    ) -> "Chain":
        """The chain of a network, without neurons that cannot matter.

        Args:
            graph: of affine operations and activations, perhaps with branches.
            slopes: per activation's name the sector (1, *shape) that its difference quotients lie
                in over the region; activations without an entry take their slopes on the whole
                line. Neurons whose slope is known leave the program.
            outputs: rows (rows, outputs) of linear functionals of the flat output: one row for
                one output or for the difference of two; every output by default.

        Raises:
            UnsupportedOp: an operation that is neither affine nor slope-restricted.
            BadInput: slopes or outputs of another shape, or a dtype other than float64.
        """
        slopes = slopes or {}
        sources: dict[str, Source] = {}
        layers: list[Layer] = []
        for node in graph.nodes[1:]:
            if isinstance(node.op, Elementwise):
                maps = maps_of_node(graph, node.inputs[0], sources)
                source, layer = _layer(node, node.op, slopes.get(node.name), maps, len(layers) + 1)
                sources[node.name] = source
                layers.append(layer)
        output = maps_of_rows(graph, _rows(outputs, graph), sources)
        inputs = torch.Size(graph.input.shape).numel()
        check(graph, sources, layers, (outputs, output))
        return cls(inputs, *alive(inputs, layers, output))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of every block."""
        return (self.inputs, *(layer.size for layer in self.layers))

    @property
    def neurons(self) -> int:
        """Variables of the program."""
        return sum(layer.size for layer in self.layers)


def _rows(outputs: Tensor | None, graph: LayerGraph) -> Tensor | None:
    """Row functionals, refused where they do not fit the output."""
    size = torch.Size(graph.output.shape).numel()
    if outputs is not None and (
        outputs.ndim != 2 or outputs.shape[1] != size or outputs.dtype != torch.float64
    ):
        raise BadInput(
            f"Chain: outputs must be float64 of shape (rows, {size}), got {outputs.dtype} of "
            f"shape {tuple(outputs.shape)}"
        )
    return outputs


def _layer(
    node: Node, op: Elementwise, given: Interval | None, maps: Maps, block: int
) -> tuple[Source, Layer]:
    """An activation's neurons, those of known slope set apart."""
    sector = _whole_line(op, node.shape) if given is None else given
    lower, upper = (_flat(end, node) for end in (sector.lower, sector.upper))
    bad = ~(lower.isfinite() & upper.isfinite() & (lower <= upper))
    if bool(bad.any()):
        raise UnsupportedOp(
            f"LipSDP: '{node.name}' ({type(op).__name__}) has no finite slope at coordinate "
            f"{int(bad.nonzero()[0])}; a step has no Lipschitz constant"
        )
    size = torch.maximum(lower.abs(), upper.abs())
    known = upper - lower <= KNOWN * size
    middle = torch.where(lower == upper, lower, lower / 2 + upper / 2)
    slope = torch.where(known, middle, 0.0)
    error = KNOWN if bool((known & (lower != upper)).any()) else 0.0
    source = Source(block, (~known).nonzero().flatten(), slope, error)
    keep = (~known).numpy()
    ends = [end.numpy()[keep] for end in (lower, upper)]
    return source, Layer(node.name, source.neurons.numpy(), maps.rows(keep), ends[0], ends[1])


def _whole_line(op: Elementwise, shape: Shape) -> Interval:
    """Sector that holds for all inputs."""
    end = torch.full((1, *shape), EVERYWHERE, dtype=torch.float64)
    return op.slope(Interval(-end, end))


def _flat(end: Tensor, node: Node) -> Tensor:
    if end.shape != (1, *node.shape) or end.dtype != torch.float64:
        raise BadInput(
            f"Chain: slopes of '{node.name}' must be float64 of shape {(1, *node.shape)}, got "
            f"{end.dtype} of shape {tuple(end.shape)}"
        )
    return end.reshape(-1).cpu()
