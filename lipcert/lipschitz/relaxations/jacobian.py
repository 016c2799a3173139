"""An interval around every entry of the Jacobian, pulled backward from the outputs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lipcert.graph.layer_graph import Node
from lipcert.lipschitz.relaxation import Proved, Relaxation, Task
from lipcert.numeric.norm import Norm
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.numeric.spectral import spectral_norm_upper
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Affine, Coupled, Elementwise
from lipcert.sets.enclosure import Interval

LIVE = 24  # tensors of the size of the widest node's coefficients at a time
LARGEST = 1 << 24  # entries of a Jacobian that are kept


@dataclass(frozen=True)
class IntervalJacobian(Relaxation):
    """Exact where no activation can change its slope, and over small regions close to it."""

    words: ClassVar[str] = "interval Jacobian"
    norms: ClassVar[frozenset[Norm]] = frozenset(Norm)

    def prove(self, task: Task) -> Proved | None:
        """Norms of the largest absolute entries."""
        outputs = torch.Size(task.graph.output.shape).numel()
        inputs = torch.Size(task.graph.input.shape).numel()
        coupled = any(isinstance(node.op, Coupled) for node in task.graph.nodes)
        if coupled or outputs * inputs > LARGEST:
            return None
        return Proved(torch.stack([self._row(task, row, outputs) for row in range(task.rows)]))

    def _row(self, task: Task, row: int, outputs: int) -> Tensor:
        parts: list[Interval] = []
        for chosen in _chunks(task, outputs):
            task.watch(
                f"Jacobian of {task.graph.source}", row * outputs + chosen[0], task.rows * outputs
            )
            parts.append(jacobian(task, row, chosen))
        whole = Interval(torch.cat([p.lower for p in parts]), torch.cat([p.upper for p in parts]))
        return norm_upper(whole, task.norm)


def _chunks(task: Task, outputs: int) -> Iterator[range]:
    """Outputs whose coefficients fit the memory."""
    widest = max(torch.Size(node.shape).numel() for node in task.graph.nodes)
    most = max(1, task.placement.budget() // (8 * widest * LIVE))
    yield from (range(k, min(outputs, k + most)) for k in range(0, outputs, most))


def norm_upper(entries: Interval, norm: Norm) -> Tensor:
    """Upper bound on the norm of every matrix in an interval matrix (rows, columns), rounded up."""
    size = entries.magnitude()
    rows, columns = (inflate(size.sum(axis), size.shape[axis]).max() for axis in (1, 0))
    if norm is not Norm.TWO:
        return rows if norm is Norm.MAX else columns
    centre = entries.centre
    spread = entries.radius(centre)
    apart = up(spectral_norm_upper(centre) + spectral_norm_upper(spread))
    between = up(up(torch.sqrt(up(rows * columns))))
    return torch.minimum(torch.minimum(apart, spectral_norm_upper(size)), between)


def jacobian(task: Task, row: int, outputs: range) -> Interval:
    """Bounds on the derivatives of some outputs by every input, (outputs, inputs)."""
    graph = task.graph
    end = graph.output
    start = torch.zeros(len(outputs), torch.Size(end.shape).numel(), dtype=torch.float64)
    start[torch.arange(len(outputs)), torch.tensor(list(outputs))] = 1
    waiting = {end.name: Interval.point(start.view(-1, *end.shape))}
    for node in reversed(graph.nodes[1:]):
        box = waiting.pop(node.name, None)
        if box is None:
            continue
        for name, part in zip(node.inputs, _pulled(task, node, row, box), strict=True):
            waiting[name] = waiting[name].plus(part) if name in waiting else part
    whole = waiting.get(graph.input.name)
    if whole is None:
        whole = Interval.point(start.new_zeros(len(outputs), *graph.input.shape))
    return Interval(whole.lower.flatten(1), whole.upper.flatten(1))


def _pulled(task: Task, node: Node, row: int, box: Interval) -> tuple[Interval, ...]:
    """Coefficients on the inputs of a node from those on its value."""
    if isinstance(node.op, Affine):
        return _through_affine(node.op, node, box)
    assert isinstance(node.op, Elementwise)
    sector = task.slopes[node.name]
    corners = [
        coefficient * slope
        for coefficient in (box.lower, box.upper)
        for slope in (sector.lower[row], sector.upper[row])
    ]
    every = torch.stack(corners)
    return (Interval(down(every.amin(0)), up(every.amax(0))),)


def _through_affine(op: Affine, node: Node, box: Interval) -> tuple[Interval, ...]:
    """Centre and radius, with what rounding and the weights' own error can add."""
    centre = box.centre
    loss = gamma(op.terms + 4, centre.dtype) + 2 * op.weight_error
    spread = up(box.radius(centre) * (1 + 2 * op.weight_error) + box.magnitude() * loss)
    middles = op.adjoint(Functional.natural(centre, node.shape))
    radii = op.magnitude().adjoint(Functional.natural(up(spread), node.shape))
    return tuple(
        _around(middle.in_natural_order(), inflate(radius.in_natural_order(), op.terms + 4))
        for middle, radius in zip(middles, radii, strict=True)
    )


def _around(centre: Tensor, radius: Tensor) -> Interval:
    return Interval(down(centre - radius), up(centre + radius))
