"""Rewrites keep values, names and proved errors."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.simplify import simplify
from lipcert.ops.add import Add
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Op
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select
from lipcert.ops.transpose import Transpose

NUMBERS = st.floats(-1e6, 1e6)


def graph(shape: tuple[int, ...], *ops: Op) -> LayerGraph:
    nodes = [Node("x", None, (), shape)]
    for place, op in enumerate(ops):
        before = nodes[-1]
        nodes.append(Node(f"n{place}", op, (before.name,), op.shape(before.shape)))
    return LayerGraph(tuple(nodes))


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def rand(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def conv(pads: tuple[int, int, int, int] = (1, 0, 0, 1)) -> Conv:
    return Conv(rand(3, 2, 2, 2), rand(3), (2, 4, 4), pads=pads)


def rounding(step: float, *shape: int) -> Quantize:
    ends = (torch.full(shape, end, dtype=torch.float64) for end in (-128, 127))
    return Quantize(torch.full(shape, step, dtype=torch.float64), *ends)


def scale(*shape: int) -> Scale:
    return Scale(rand(*shape), rand(*shape) + 3)


@pytest.mark.parametrize(
    ("shape", "ops", "names"),
    [
        ((4,), [Linear(rand(3, 4), rand(3)), scale(3)], ["x", "n0"]),
        ((4,), [Linear(rand(3, 4), rand(3)), scale(1), Relu()], ["x", "n0", "n2"]),
        ((2, 4), [Linear(rand(3, 4), rand(3)), scale(2, 3)], ["x", "n0", "n1"]),
        ((2, 4, 4), [conv(), scale(3, 1, 1)], ["x", "n0"]),
        ((2, 4, 4), [conv(), scale(3, 1, 1), scale(1, 1, 1)], ["x", "n0"]),
        ((2, 4, 4), [conv(), scale(3, 4, 4)], ["x", "n0", "n1"]),
        ((2, 4, 4), [scale(2, 1, 1), conv()], ["x", "n0", "n1"]),
        ((4,), [scale(4), scale(4), Relu()], ["x", "n0", "n2"]),
        ((4,), [Scale(rand(4), torch.zeros(4, dtype=torch.float64)), Linear(rand(3, 4), rand(3))],
         ["x", "n1"]),
        ((4,), [scale(4), Linear(rand(3, 4), rand(3))], ["x", "n0", "n1"]),
        ((2, 2, 3), [Pad((0, 1, 0), (0, 1, 1), (2, 2, 3)), conv((0, 0, 0, 0))], ["x", "n1"]),
        ((2, 2, 3), [Pad((0, 1, 0), (0, 1, 1), (2, 2, 3), 0.5), conv((0, 0, 0, 0))],
         ["x", "n0", "n1"]),
        ((4,), [Reshape((4,), (2, 2)), Reshape((2, 2), (4, 1)), Relu()], ["x", "n0", "n2"]),
        ((4,), [Reshape((4,), (2, 2)), Reshape((2, 2), (4,)), Relu()], ["x", "n2"]),
        ((2, 3), [Transpose((1, 0)), Transpose((1, 0)), Relu()], ["x", "n2"]),
        ((3,), [Select(0, (0, 1, 2), 3), Pad((0,), (0,), (3,)), Relu()], ["x", "n2"]),
        ((4,), [rounding(0.1, 1), Reshape((4,), (2, 2)), Select(0, (1,), 2), rounding(0.1, 1, 1)],
         ["x", "n0", "n1", "n2"]),
        ((4,), [rounding(0.1, 1), rounding(0.2, 1)], ["x", "n0", "n1"]),
        ((4,), [rounding(0.1, 4), rounding(0.1, 4), Relu()], ["x", "n0", "n2"]),
        ((2, 2), [rounding(0.1, 2, 1), rounding(0.1, 1, 2)], ["x", "n0", "n1"]),
        ((2, 2), [rounding(0.1, 2, 1), Transpose((1, 0)), rounding(0.1, 2, 1)],
         ["x", "n0", "n1", "n2"]),
        ((3,), [Relu(), Scale(column(1, 1, 1), column(0, 0, 0))], ["x", "n0"]),
    ],
)  # fmt: skip
def test_what_merges_and_what_does_not(
    shape: tuple[int, ...], ops: Sequence[Op], names: list[str]
) -> None:
    before = graph(shape, *ops)
    after = simplify(before)
    inputs = rand(5, *shape)
    assert [node.name for node in after.nodes] == names
    assert after.output.shape == before.output.shape
    assert float((after(inputs) - before(inputs)).abs().max()) <= 1e-12


def test_a_value_with_two_readers_stays() -> None:
    nodes = (
        Node("x", None, (), (4,)),
        Node("layer", Linear(rand(4, 4), rand(4)), ("x",), (4,)),
        Node("scale", scale(4), ("layer",), (4,)),
        Node("same", Reshape((4,), (4,)), ("layer",), (4,)),
        Node("sum", Add(), ("scale", "same"), (4,)),
    )
    after = simplify(LayerGraph(nodes))
    assert [node.name for node in after.nodes] == ["x", "layer", "scale", "sum"]
    assert after.output.inputs == ("scale", "layer")


def test_a_merged_node_is_read_under_its_new_name() -> None:
    nodes = (
        Node("x", None, (), (4,)),
        Node("layer", Linear(rand(4, 4), rand(4)), ("x",), (4,)),
        Node("scale", scale(4), ("layer",), (4,)),
        Node("first", Relu(), ("scale",), (4,)),
        Node("sum", Add(), ("scale", "first"), (4,)),
    )
    before, after = LayerGraph(nodes), simplify(LayerGraph(nodes))
    assert after.output.inputs == ("layer", "first")
    inputs = rand(3, 4)
    assert float((after(inputs) - before(inputs)).abs().max()) <= 1e-12


def test_a_bias_that_cancels_keeps_two_nodes() -> None:
    error = 2.0**-52
    first = Linear(rand(1, 2), column(1 + 2**-40), error)
    kept = simplify(graph((2,), first, Scale(column(3.0), column(-3.0), error)))
    assert len(kept.nodes) == 3
    assert len(simplify(graph((2,), first, Scale(column(3.0), column(5.0), error))).nodes) == 2


def test_underflow_keeps_two_nodes() -> None:
    tiny = Linear(torch.full((1, 2), 1e-200, dtype=torch.float64), column(0))
    assert len(simplify(graph((2,), tiny, Scale(column(1e-200), column(0)))).nodes) == 3


@settings(max_examples=300)
@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([-1, 0, 1]), st.booleans())
def test_the_proved_error_holds(
    weight: float, bias: float, factor: float, shift: float, direction: int, inexact: bool
) -> None:
    """For true weights at the ends of what the errors allow, in exact arithmetic."""
    error = 2.0**-50 if inexact else 0.0
    first = Linear(column(weight)[None], column(bias), error)
    second = Scale(column(factor), column(shift), error)
    merged = simplify(graph((1,), first, second)).nodes[1].op
    assert isinstance(merged, Linear)
    off = 1 + direction * Fraction(error)
    w, b, f, s = (Fraction(v) for v in (weight, bias, factor, shift))
    if merged.weight is first.weight:
        return
    stored_weight, stored_bias = (Fraction(float(v)) for v in (merged.weight, merged.bias))
    allowed = Fraction(merged.error)
    for mirror in (off, 2 - off):
        assert abs(w * off * f * off - stored_weight) <= allowed * abs(stored_weight)
        assert abs(b * off * f * off + s * mirror - stored_bias) <= allowed * abs(stored_bias)
