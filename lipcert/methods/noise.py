"""How far a plain float64 evaluation of a network may lie from its exact value.

Bounds of exact arithmetic can be narrower than the rounding of an evaluation, at a point above all;
they are widened by it, so that drifts computed in float64 lie inside as well.
"""

import torch
from torch import Tensor

from lipcert.methods.enclosed import Enclosed
from lipcert.methods.image import reach_of_linear
from lipcert.numeric.rounding import gamma, inflate, up
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.sets.enclosure import Interval

DOUBLE = torch.float64
SPARE = 16


def noise(enclosed: Enclosed) -> Tensor:
    """Bound on |float64 evaluation - exact value| of the outputs, (batch, *output shape).

    First-order forward error analysis (Higham, sec. 3.5). Where a quantiser's input may lie on
    either side of a step its own staircase covers both codes, so nothing passes through it.
    """
    graph, boxes = enclosed.graph, enclosed.boxes
    errors = {graph.input.name: torch.zeros_like(boxes[graph.input.name].lower)}
    for node in graph.nodes[1:]:
        assert node.op is not None
        inputs = [boxes[name] for name in node.inputs]
        before = [errors[name] for name in node.inputs]
        errors[node.name] = _after(node.op, boxes[node.name], inputs, before)
    return errors[graph.output.name]


def _after(op: Op, value: Interval, inputs: list[Interval], before: list[Tensor]) -> Tensor:
    if isinstance(op, Affine):
        reach = reach_of_linear(op, *(box.magnitude() for box in inputs))
        constant = op.constant(reach)
        reach = reach if constant is None else up(reach + constant.abs())
        added = (gamma(op.terms + SPARE, DOUBLE) + 2 * op.weight_error) * reach
        return inflate(reach_of_linear(op, *before) + added, SPARE)
    if isinstance(op, Elementwise):
        sector = op.slope(inputs[0])
        steep = torch.maximum(sector.lower.abs(), sector.upper.abs())
        steep = torch.where(steep.isfinite(), steep, torch.zeros_like(steep))
        added = 4 * gamma(SPARE, DOUBLE) * (value.magnitude() + inputs[0].magnitude() * steep)
        return inflate(steep * before[0] + added, SPARE)
    return torch.full_like(value.lower, torch.inf)
