"""What rows on the drift need and pay at each aligned node, and boxes for the drift itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.align import PairNode
from lipcert.methods.coupling import coupling
from lipcert.methods.crown_rule import SPARE, per_channel, per_neuron
from lipcert.methods.executed import widened
from lipcert.methods.image import image_of_linear, reach_of_linear
from lipcert.methods.twin_rule import AffineStep, ElementwiseStep, Step
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import down, gamma, inflate, unit_roundoff, up
from lipcert.ops.kinds import Affine, Elementwise, same
from lipcert.sets.enclosure import Interval, Twin
from lipcert.walk.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Both networks' values at a pair node.

    Args:
        original: proved box of f's value.
        compressed: proved box of g's value.
        original_error: what executing f's operation here may add; None for nothing.
        compressed_error: likewise for g.
    """

    original: Interval
    compressed: Interval
    original_error: Interval | None
    compressed_error: Interval | None

    @property
    def shift(self) -> Tensor | None:
        """Middle of what executing g adds; None for zero."""
        middle = None if self.compressed_error is None else self.compressed_error.centre
        return middle if middle is not None and bool(middle.any()) else None

    def executing(self, shift: Tensor | None) -> list[Tensor]:
        """Bounds on what executing adds to the drift beyond the shift, and to f's value."""
        mine, own = self.original_error, self.compressed_error
        nothing = torch.zeros_like(self.original.lower)
        original = nothing if mine is None else mine.magnitude()
        if own is None:
            return [original, original]
        around = own.magnitude() if shift is None else own.radius(shift)
        return [original + around, original]

    def around(self, drift: Interval) -> Twin:
        """With a box of the exact difference, all three made consistent."""
        drift = widened(drift, self.compressed_error)
        if self.original_error is not None:
            drift = drift.minus(self.original_error)
        return Twin(self.original, self.compressed, drift).consistent()


def step_of(
    node: PairNode,
    inputs: list[Twin],
    values: Values,
    placement: Placement,
) -> tuple[Step, Twin]:
    """The backward step through a pair node, and the enclosures of its value.

    Args:
        node: not the input.
        inputs: enclosures of what it reads.
        values: what is known of both networks' values here.
        placement: dtype and device of the step.
    """
    f, g = node.original_op, node.compressed_op
    if isinstance(f, Affine | None) and isinstance(g, Affine | None):
        return _affine_step(f, g, inputs, values, placement)
    if isinstance(f, Elementwise | None) and isinstance(g, Elementwise | None):
        return _elementwise_step(f, g, inputs[0], values, placement)
    raise UnsupportedOp(
        f"twin: no rule for {type(f or g).__name__} at node '{node.name}'; "
        "only affine and elementwise operations can be followed in pairs"
    )


def _elementwise_step(
    f: Elementwise | None,
    g: Elementwise | None,
    twin: Twin,
    values: Values,
    placement: Placement,
) -> tuple[Step, Twin]:
    """Planes and lines, moved apart by what products and sums of coefficients round away."""
    alike = f is not None and g is not None and same(f, g)
    planes = coupling(f and f.placed(placement), g and g.placed(placement), twin, alike=alike)
    value = values.around(planes.image)
    below, above, lines = planes.below, planes.above, planes.original
    drift, z = twin.drift.magnitude(), twin.original.magnitude()
    few, many = gamma(SPARE, placement.dtype), gamma(z[0].numel() + SPARE, placement.dtype)
    drift_loss = few * _largest(below.along_drift, above.along_drift) * drift
    drift_loss = drift_loss + few * _largest(below.along_original, above.along_original) * z
    drift_loss = drift_loss + many * _largest(below.intercept, above.intercept)
    original_loss = few * _largest(lines.lower_slope, lines.upper_slope) * z
    original_loss = original_loss + many * _largest(lines.lower_intercept, lines.upper_intercept)
    losses = _losses(drift_loss, original_loss, value, values.executing(None))
    drift_loss, original_loss = losses
    table = Table.pack(
        [
            below.along_drift,
            below.along_original,
            down(below.intercept - drift_loss),
            above.along_drift,
            above.along_original,
            up(above.intercept + drift_loss),
            lines.lower_slope,
            down(lines.lower_intercept - original_loss),
            lines.upper_slope,
            up(lines.upper_intercept + original_loss),
        ]
    )
    tilted = bool(below.along_original.any() or above.along_original.any())
    return ElementwiseStep(table, tilted), value


def _largest(first: Tensor, second: Tensor) -> Tensor:
    return torch.maximum(first.abs(), second.abs())


def _losses(drift: Tensor, original: Tensor, value: Twin, executing: list[Tensor]) -> list[Tensor]:
    """With what adding coefficients of several readers rounds away, and what execution does."""
    sums = 2 * SPARE * unit_roundoff(drift.dtype)
    drift = drift + sums * value.drift.magnitude() + executing[0]
    original = original + sums * value.original.magnitude() + executing[1]
    count = drift[0].numel() + SPARE
    return [inflate(drift, count), inflate(original, count)]


@dataclass(frozen=True, slots=True, eq=False)
class _Affines:
    """Both networks' operations at a node and their difference, placed; None is the identity."""

    original: Affine | None
    compressed: Affine | None
    difference: Affine | None
    one_form: bool
    weight_error: tuple[float, float]


def _affine_step(
    f: Affine | None,
    g: Affine | None,
    inputs: list[Twin],
    values: Values,
    placement: Placement,
) -> tuple[Step, Twin]:
    one_form = f is not None and g is not None and g.same_form(f)
    difference = g.minus(f) if one_form and f is not None and g is not None else None
    ops = _Affines(
        f and f.placed(placement),
        g and g.placed(placement),
        difference and difference.placed(placement),
        one_form,
        (f.weight_error if f else 0.0, g.weight_error if g else 0.0),
    )
    value = values.around(_drift_box(ops, inputs))
    table = _affine_table(ops, inputs, value, values)
    return AffineStep(ops.original, ops.compressed, ops.difference, one_form, table), value


def _drift_box(ops: _Affines, inputs: list[Twin]) -> Interval:
    """V D + (V - W) a + (c - b) in interval arithmetic; y - z where the forms differ."""
    if not ops.one_form:
        unknown = torch.full((), torch.inf, dtype=inputs[0].drift.lower.dtype)
        return Interval(-unknown, unknown)
    assert ops.compressed is not None
    assert ops.original is not None
    box = image_of_linear(ops.compressed, *(t.drift for t in inputs))
    if ops.difference is not None:
        originals = [t.original for t in inputs]
        box = box.plus(image_of_linear(ops.difference, *originals))
        constant = ops.difference.constant(box.lower)
        if constant is not None:
            box = box.plus(
                _spread(constant, gamma(2, constant.dtype) + ops.difference.weight_error)
            )
    pad = form_error(
        (ops.original, ops.compressed), ops.weight_error, [t.original.magnitude() for t in inputs]
    )
    return box if pad is None else Interval(down(box.lower - pad), up(box.upper + pad))


def _spread(value: Tensor, relative: float) -> Interval:
    pad = up(value.abs() * relative)
    return Interval(down(value - pad), up(value + pad))


def form_error(
    ops: Sequence[Affine | None], errors: Sequence[float], sizes: list[Tensor]
) -> Tensor | None:
    """Largest effect on the drift of weights that are not exactly the stored ones.

    The stored difference belongs to the stored weights; the true one may be off by both errors.

    Args:
        ops: of both networks.
        errors: relative, of the weights that the difference was made from.
        sizes: largest absolute values of f's inputs.
    """
    total: Tensor | None = None
    for op, error in zip(ops, errors, strict=True):
        if error and op is not None:
            part = 2 * error * _size(op, sizes)
            total = part if total is None else total + part
    return None if total is None else inflate(total, 8)


def _size(op: Affine | None, sizes: list[Tensor]) -> Tensor:
    """Upper bound on |weights| sizes + |constant|; the identity returns what it reads."""
    if op is None:
        return sizes[0]
    reach = reach_of_linear(op, *sizes)
    constant = op.constant(reach)
    return reach if constant is None else up(reach + constant.abs())


def _affine_table(ops: _Affines, inputs: list[Twin], value: Twin, values: Values) -> Table:
    """C - b, b, and the losses of products with V, V - W and W (Higham, eq. 3.12)."""
    drift = [t.drift.magnitude() for t in inputs]
    original = [t.original.magnitude() for t in inputs]
    like = value.drift.lower
    shift, base = _constants(ops, like)
    if values.shift is not None:
        shift = shift + values.shift
    f, g, d = (_rate(op, like.dtype) for op in (ops.original, ops.compressed, ops.difference))
    sums = gamma(like[0].numel() + SPARE, like.dtype)
    along_drift = g * _reach(ops.compressed, drift) + sums * shift.abs()
    if ops.one_form and ops.difference is not None:
        along_drift = along_drift + d * _size(ops.difference, original)
    elif not ops.one_form:
        along_drift = along_drift + f * _size(ops.original, original)
        along_drift = along_drift + g * _size(ops.compressed, original)
    along_original = f * _size(ops.original, original) + sums * base.abs()
    error = form_error((ops.original, ops.compressed), ops.weight_error, original)
    if error is not None:
        along_drift = along_drift + error
    losses = _losses(along_drift, along_original, value, values.executing(values.shift))
    wide = shift if shift.ndim == like.ndim else per_neuron(shift, like)
    return Table.pack([wide, per_neuron(base, like), *(per_channel(loss) for loss in losses)])


def _rate(op: Affine | None, dtype: torch.dtype) -> float:
    """Relative error of a product with the operation's weights, and of adding one more."""
    if op is None:
        return gamma(SPARE, dtype)
    return gamma(op.terms + SPARE, dtype) + 2 * op.weight_error


def _reach(op: Affine | None, sizes: list[Tensor]) -> Tensor:
    return sizes[0] if op is None else reach_of_linear(op, *sizes)


def _constants(ops: _Affines, like: Tensor) -> tuple[Tensor, Tensor]:
    """C - b and b, broadcastable to the node's shape."""
    base = _constant(ops.original, like)
    if ops.one_form:
        return _constant(ops.difference, like), base
    return _constant(ops.compressed, like) - base, base


def _constant(op: Affine | None, like: Tensor) -> Tensor:
    found = None if op is None else op.constant(like)
    return like.new_zeros([1] * (like.ndim - 1)) if found is None else found
