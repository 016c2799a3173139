r"""The drift budget: a twin bound split by source (BOUNDS.md section 2).

Once the planes of a row are chosen, its bound is linear in what each layer adds. With $\Lambda_k$
the row's coefficients on the drift of layer k, and $\hat a_k$ the value of f under the chosen lines
at the region's worst corner, it is the sum over affine layers of
$\Lambda_k ((V_k - W_k) \hat a_{k-1} + c_k - b_k)$, plus what the planes of every activation and
quantiser add, less rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.crown_rule import per_channel
from lipcert.methods.recorded import recorded
from lipcert.methods.twin_rule import AffineStep, Double, ElementwiseStep, TwinRule
from lipcert.numeric.placement import Placement
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.functional import Functional, Shape
from lipcert.ops.quantize import Quantize
from lipcert.sets.enclosure import Interval, Twin
from lipcert.sets.share import Cause, Share
from lipcert.walk.backward import Query
from lipcert.walk.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is known of a pair besides the rule of its walks.

    Args:
        twins: enclosures of every pair node.
        excess: what saturating sums may add to g's nodes, by their names.
    """

    twins: Mapping[str, Twin]
    excess: Mapping[str, Interval | None]


def budget(seen: Seen, rule: TwinRule, drift: Interval, placement: Placement) -> tuple[Share, ...]:
    """What each source adds to the twin bound on the largest drift of every row.

    Args:
        seen: of the pair.
        rule: of the walk that bounded the outputs.
        drift: twin bounds of the outputs, (batch, *output shape).
        placement: of the walk.

    Returns:
        Shares in the order of the layers; over all of them they sum to the bound.
    """
    rows = [_of_row(seen, rule, drift, row, placement) for row in range(len(drift.lower))]
    return tuple(
        Share(cause, node, torch.stack([row[cause, node] for row in rows]).double().cpu())
        for cause, node in rows[0]
    )


def _of_row(
    seen: Seen, rule: TwinRule, drift: Interval, row: int, placement: Placement
) -> dict[tuple[Cause, str], Tensor]:
    """Shares of one row's worst output."""
    sides = torch.stack([drift.lower[row].flatten(), -drift.upper[row].flatten()])
    worst = int(sides.argmin())
    sign, index = (1, worst) if worst < sides.shape[1] else (-1, worst - sides.shape[1])
    one = torch.ones(1, dtype=torch.long, device=drift.lower.device)
    query = Query(row * one, index * one, sign * one)
    (bound,), kept = recorded(query, rule, placement)
    states = {name: chunks[0] for name, chunks in kept.items()}
    shares = _forward(seen, rule, states, row)
    rest = -bound - sum(shares.values(), torch.zeros_like(bound))
    return shares | {(Cause.ROUNDING, ""): rest}


def _forward(
    seen: Seen, rule: TwinRule, states: Mapping[str, Double], row: int
) -> dict[tuple[Cause, str], Tensor]:
    """Values of f under the chosen lines from the worst corner on, and what each node adds."""
    names = list(rule.nodes)
    values = {names[0]: _corner(rule, states.get(names[0]), row)}
    shares: dict[tuple[Cause, str], Tensor] = {}
    for name in names[1:]:
        node, step, state = rule.nodes[name], rule.steps[name], states.get(name)
        if state is None:
            break  # nothing behind this node reaches the row's output
        inputs = [values[i] for i in node.inputs]
        if isinstance(step, AffineStep):
            values[name] = inputs[0] if step.original is None else step.original.value(*inputs)
            parts = {Cause.WEIGHTS: _weights(step, inputs, state.drift)}
            if node.compressed_op is not None and node.compressed.name in seen.excess:
                lost = seen.excess[node.compressed.name]
                parts[Cause.SATURATION] = _saturated(state.drift, lost, row, parts[Cause.WEIGHTS])
        else:
            values[name] = _on_lines(step, inputs[0], state.original, row)
            added = _planes(step, inputs[0], state.drift, row)
            parts = _named(added, node.compressed_op, seen.twins[node.inputs[0]].compressed, row)
        for cause, part in parts.items():
            key = cause, node.original.name
            shares[key] = shares.get(key, torch.zeros_like(part)) - part
    return shares


def _corner(rule: TwinRule, state: Double | None, row: int) -> Tensor:
    """The input at which the row's linear function is least, (1, *input shape)."""
    hull = rule.support.hull
    if state is None or state.original is None:
        return hull.lower[row : row + 1]
    slope = state.original.in_natural_order()
    return torch.where(slope > 0, hull.lower[row : row + 1], hull.upper[row : row + 1])


def _weights(step: AffineStep, inputs: list[Tensor], drift: Functional | None) -> Tensor:
    """What differing weights and constants of an affine node add."""
    if drift is None or (step.one_form and step.difference is None):
        return inputs[0].new_zeros(())
    if step.one_form and step.difference is not None:
        added = step.difference.value(*inputs)
    else:
        ends = [
            inputs[0] if op is None else op.value(*inputs)
            for op in (step.compressed, step.original)
        ]
        added = ends[0] - ends[1]
    return (drift.in_natural_order() * added).sum()


def _saturated(drift: Functional | None, excess: Interval | None, row: int, like: Tensor) -> Tensor:
    """What saturating pair sums take at worst, from their middle on; on maps per channel."""
    if drift is None or excess is None:
        return torch.zeros_like(like)
    slopes, middle = drift.in_natural_order(), excess.centre
    around = per_channel(excess.radius(middle))
    return (slopes * middle[row]).sum() - (slopes.abs() * around[row]).sum()


def _on_lines(step: ElementwiseStep, x: Tensor, original: Functional | None, row: int) -> Tensor:
    """The line that the row's coefficient chose, at x."""
    facts = _natural(step.table, row, tuple(x.shape[1:]))
    low, high = facts[6] * x + facts[7], facts[8] * x + facts[9]
    return low if original is None else torch.where(original.in_natural_order() >= 0, low, high)


def _planes(step: ElementwiseStep, x: Tensor, drift: Functional | None, row: int) -> Tensor:
    """What the chosen planes add at each neuron, beside their slope along the drift."""
    if drift is None:
        return torch.zeros_like(x)
    facts = _natural(step.table, row, tuple(x.shape[1:]))
    slopes = drift.in_natural_order()
    below, above = facts[1] * x + facts[2], facts[4] * x + facts[5]
    return slopes * torch.where(slopes >= 0, below, above)


def _named(added: Tensor, op: object, box: Interval, row: int) -> dict[Cause, Tensor]:
    """The neurons' parts by cause: a quantiser's saturated ones apart from the others."""
    if isinstance(op, DynamicQuantize):
        return {Cause.QUANTISER: added.sum()}
    if not isinstance(op, Quantize):
        return {Cause.ACTIVATION: added.sum()}
    bounds = [getattr(op, name).to(added) * op.scale.to(added) for name in ("lowest", "highest")]
    beyond = (box.lower[row] < bounds[0]) | (box.upper[row] > bounds[1])
    return {Cause.QUANTISER: (added * ~beyond).sum(), Cause.SATURATION: (added * beyond).sum()}


def _natural(table: Table, row: int, shape: Shape) -> list[Tensor]:
    """Each fact of one row in the node's own axis order, (1, *shape)."""
    facts = [fact[row if len(fact) > 1 else 0] for fact in table.facts]
    if len(shape) == 3:
        facts = [fact.permute(2, 0, 1) for fact in facts]
    return [fact.expand(shape)[None] for fact in facts]
