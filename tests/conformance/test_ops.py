"""Every operation in lipcert/ops keeps what its kind promises: exactly, or in exact arithmetic.

A new operation needs one line in EXAMPLES and nothing else.
"""

import importlib
import inspect
import itertools
import math
import pkgutil
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import lipcert.ops
from lipcert.errors import LipcertError
from lipcert.numeric.placement import Placement
from lipcert.ops.add import Add
from lipcert.ops.clip import Clip
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.erf import Erf
from lipcert.ops.functional import Functional, Shape
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_sigmoid import HardSigmoid
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.silu import Silu
from lipcert.ops.smooth import Smooth
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.ops.transpose import Transpose
from lipcert.sets.enclosure import Interval

DTYPES = (torch.float64, torch.float32)
APART = Fraction(1, 10**40)  # closer points need a reference with more digits


def whole(seed: int, *shape: int) -> Tensor:
    """Small integers, so that products and sums are exact in any order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-7, 8, shape, generator=generator).double()


def real(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def conv(
    kernel: tuple[int, int],
    size: Shape,
    *,
    out: int = 4,
    groups: int = 1,
    **geometry: tuple[int, ...],
) -> tuple[Conv, Shape]:
    weight = whole(sum(kernel) + out, out, size[0] // groups, *kernel)
    return Conv(weight, whole(out, out), size, groups=groups, **geometry), size  # type: ignore[arg-type]


def quantize(scale: float, lowest: float, highest: float) -> Quantize:
    return Quantize(real(scale), real(lowest), real(highest))


# Affine operations with the shapes of their inputs; the others as they are.
AFFINE: dict[type[Op], list[tuple[Any, ...]]] = {
    Add: [(Add(), (5,), (5,)), (Add((-1, 1)), (2, 3, 4), (2, 3, 4)), (Add((1, -1)), (6,), (6,))],
    Concat: [(Concat(0, (2, 3)), (2, 3, 4), (3, 3, 4)), (Concat(2, (1, 4)), (2, 3, 1), (2, 3, 4))],
    Conv: [
        conv((3, 3), (2, 7, 8), pads=(1, 1, 1, 1)),
        conv((5, 1), (3, 11, 2), pads=(2, 0, 1, 0), stride=(2, 1)),
        conv((1, 4), (3, 2, 9), pads=(0, 3, 0, 0)),
        conv((2, 3), (2, 9, 10), stride=(2, 3), dilation=(2, 2), pads=(0, 1, 3, 2)),
        conv((3, 2), (4, 8, 9), groups=2, out=6, stride=(1, 2), pads=(1, 0, 2, 1)),
        conv((3, 3), (3, 8, 8), groups=3, out=3, stride=(2, 2), pads=(0, 0, 1, 1)),
        conv((3, 3), (2, 6, 7), groups=2, out=6, pads=(1, 1, 1, 1)),
        conv((1, 1), (3, 6, 6), stride=(2, 2)),
        conv((1, 1), (3, 5, 6)),
        conv((2, 2), (2, 3, 3), pads=(3, 4, 5, 3)),
        conv((7, 7), (1, 5, 5), pads=(3, 3, 3, 3)),
        conv((2, 2), (2, 9, 9), dilation=(3, 5), stride=(3, 2)),
    ],
    Linear: [
        (Linear(whole(1, 4, 6), whole(2, 4)), (6,)),
        (Linear(whole(1, 4, 6), whole(2, 4)), (3, 6)),
        (Linear(whole(3, 2, 5), whole(4, 2)), (2, 3, 5)),
        (Linear(whole(3, 7, 1), whole(4, 7)), (1,)),
    ],
    Pad: [
        (Pad((0, 1, 2), (0, 0, 3), (2, 3, 4), 5.0), (2, 3, 4)),
        (Pad((2,), (1,), (4,)), (4,)),
    ],
    Reshape: [
        (Reshape((2, 3, 4), (24,)), (2, 3, 4)),
        (Reshape((24,), (4, 3, 2)), (24,)),
        (Reshape((2, 3, 4), (4, 2, 3)), (2, 3, 4)),
    ],
    Scale: [
        (Scale(whole(1, 5), whole(2, 5)), (5,)),
        (Scale(whole(1, 1), whole(2, 5)), (5,)),
        (Scale(whole(1, 3, 1, 1), whole(2, 1, 1, 1)), (3, 4, 5)),
        (Scale(whole(1, 3, 4, 5), whole(2, 3, 1, 5)), (3, 4, 5)),
        (Scale(whole(1, 1, 4, 1), whole(2, 3, 1, 1)), (3, 4, 5)),
    ],
    Select: [
        (Select(0, (0, 2, 2, 1), 3), (3,)),
        (Select(1, (3, 1, 1), 4), (2, 4, 3)),
        (Select(2, (0, 2), 3), (2, 4, 3)),
    ],
    Transpose: [(Transpose((2, 0, 1)), (2, 3, 4)), (Transpose((1, 0)), (2, 3))],
}
ELEMENTWISE: dict[type[Op], list[Elementwise]] = {
    Clip: [Clip(0.0, 6.0), Clip(-1.0, 1.0), Clip(-0.3, math.inf), Clip(-math.inf, 0.1)],
    Erf: [Erf()],
    Gelu: [Gelu()],
    HardSigmoid: [HardSigmoid(0.2, 0.5), HardSigmoid(1 / 6, 0.5), HardSigmoid(0.9, 0.1)],
    HardSwish: [HardSwish()],
    LeakyRelu: [LeakyRelu(real(0.01)), LeakyRelu(real(-0.5)), LeakyRelu(real(1.7))],
    Quantize: [
        quantize(0.25, -128, 127),
        quantize(0.0999755859375, 0, 255),
        quantize(2.0**-7, -3, 4),
        quantize(1.5, 0, 1),
    ],
    Relu: [Relu()],
    Sigmoid: [Sigmoid()],
    Silu: [Silu()],
    Tanh: [Tanh()],
}
# Of several coordinates at once: tested by tests of their own.
COUPLED: dict[type[Op], list[Op]] = {
    DynamicQuantize: [DynamicQuantize()],
    Softmax: [Softmax()],
}


def operations() -> list[type[Op]]:
    found: list[type[Op]] = []
    for entry in pkgutil.iter_modules(lipcert.ops.__path__):
        module = importlib.import_module(f"lipcert.ops.{entry.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__
            if own and issubclass(kind, Op) and not inspect.isabstract(kind):
                found.append(kind)
    return found


@pytest.mark.parametrize("kind", operations(), ids=lambda kind: kind.__name__)
def test_every_operation_has_examples(kind: type[Op]) -> None:
    assert kind in {**AFFINE, **ELEMENTWISE, **COUPLED}, (
        f"{kind.__name__} has no example: add one to tests/conformance/test_ops.py"
    )


# --- affine -------------------------------------------------------------------------------


def cases() -> list[Any]:
    every = [case for examples in AFFINE.values() for case in examples]
    return [pytest.param(case[0], case[1:], id=f"{type(case[0]).__name__}-{n}")
            for n, case in enumerate(every)]  # fmt: skip


def inputs_of(shapes: tuple[Shape, ...], rows: int = 3) -> list[Tensor]:
    return [whole(10 + k, rows, *shape) for k, shape in enumerate(shapes)]


def matrix(op: Affine, shapes: tuple[Shape, ...]) -> Tensor:
    """(outputs, inputs), column by column from unit inputs: exact for any weights."""
    sizes = [math.prod(shape) for shape in shapes]
    units = torch.eye(sum(sizes), dtype=torch.float64).split(sizes, 1)
    dtypes = [t for t in (getattr(op, n, None) for n in ("weight", "factor")) if t is not None]
    units = [unit.to(dtypes[0] if dtypes else unit) for unit in units]
    parts = [unit.view(-1, *shape) for unit, shape in zip(units, shapes, strict=True)]
    return op.linear(*parts).flatten(1).T


def spread(functional: Functional) -> Tensor:
    """Natural dense coefficients, entry by entry: the meaning of a patch."""
    if functional.origin is None:
        values = functional.values
        return values.permute(0, 3, 1, 2) if len(functional.shape) == 3 else values
    rows, high, wide, _ = functional.values.shape
    channels, height, width = functional.shape
    dense = functional.values.new_zeros(rows, channels, height, width)
    for row, y, x in itertools.product(range(rows), range(high), range(wide)):
        top, left = functional.origin[row].tolist()
        if 0 <= top + y < height and 0 <= left + x < width:
            dense[row, :, top + y, left + x] = functional.values[row, y, x]
        else:
            assert not functional.values[row, y, x].any(), "nonzero outside the map"
    return dense


def patches(shape: Shape, seed: int) -> list[Functional]:
    """Functionals on a node: dense, and on a map patches inside it and sticking out of it."""
    found = [Functional.natural(whole(seed, 3, *shape), shape)]
    if len(shape) == 3:
        channels, height, width = shape
        corners = torch.tensor([[0, 0], [-1, -2], [height - 1, width - 1], [-2, width - 2]])
        for high, wide in ((1, 1), (2, 3), (height + 1, 2)):
            values = whole(seed + high, 4, high, wide, channels)
            down = corners[:, 0, None] + torch.arange(high)
            right = corners[:, 1, None] + torch.arange(wide)
            inside = ((down >= 0) & (down < height))[:, :, None]
            inside = inside & ((right >= 0) & (right < width))[:, None, :]
            found.append(Functional(values * inside[..., None], shape, corners))
    return found


def dot(first: Tensor, second: Tensor) -> Tensor:
    return first.flatten(1) @ second.flatten(1).T


@pytest.mark.parametrize(("op", "shapes"), cases())
def test_adjoint_is_the_transpose(op: Affine, shapes: tuple[Shape, ...]) -> None:
    inputs = inputs_of(shapes)
    value = op.linear(*inputs)
    assert value.shape[1:] == op.shape(*shapes)
    for functional in patches(op.shape(*shapes), 5):
        below = op.adjoint(functional)
        assert [part.shape for part in below] == list(shapes)
        pulled = [dot(spread(part), x) for part, x in zip(below, inputs, strict=True)]
        assert torch.equal(sum(pulled[1:], pulled[0]), dot(spread(functional), value))
        for part in below:
            assert torch.equal(part.in_natural_order(), spread(part))


@pytest.mark.parametrize(("op", "shapes"), cases())
def test_coordinates_are_rows(op: Affine, shapes: tuple[Shape, ...]) -> None:
    shape = op.shape(*shapes)
    index = torch.arange(math.prod(shape))
    parts = op.coordinates(index, shape, whole(0, 1))
    rows = torch.cat([spread(part).flatten(1) for part in parts], 1)
    assert torch.equal(rows, matrix(op, shapes))


@pytest.mark.parametrize(("op", "shapes"), cases())
def test_magnitude_terms_and_difference(op: Affine, shapes: tuple[Shape, ...]) -> None:
    weights, like = matrix(op, shapes), op.value(*inputs_of(shapes))
    size = op.magnitude()
    assert torch.equal(matrix(size, shapes), weights.abs())
    assert int((weights != 0).sum(0).max()) <= op.terms
    assert int((weights != 0).sum(1).max()) <= op.terms
    constant, absolute = op.constant(like), size.constant(like)
    if constant is not None:
        assert absolute is not None
        assert torch.equal(absolute, constant.abs())
        assert torch.equal(op.value(*inputs_of(shapes)) - constant, op.linear(*inputs_of(shapes)))
    assert op.same_form(op)
    assert op.minus(op) is None
    assert not op.same_form(Relu())
    with pytest.raises(TypeError):
        op.minus(Relu())


@pytest.mark.parametrize(
    ("op", "shapes"), [c for c in cases() if type(c.values[0]) in (Linear, Conv, Scale)]
)
def test_difference_of_two_of_one_form(op: Affine, shapes: tuple[Shape, ...]) -> None:
    moved = {n: getattr(op, n) for n in ("weight", "bias", "factor", "shift") if hasattr(op, n)}
    other: Any = replace(op, **{n: v + whole(9, *v.shape) for n, v in moved.items()})  # type: ignore[type-var]
    difference = op.minus(other)
    assert difference is not None
    assert torch.equal(matrix(difference, shapes), matrix(op, shapes) - matrix(other, shapes))
    x = inputs_of(shapes)
    assert torch.equal(difference.value(*x), op.value(*x) - other.value(*x))


@pytest.mark.parametrize(
    ("op", "shapes"), [c for c in cases() if type(c.values[0]) in (Linear, Conv, Scale)]
)
def test_weight_error_covers_float32(op: Affine, shapes: tuple[Shape, ...]) -> None:
    odd = {n: getattr(op, n) / 3 for n in ("weight", "bias", "factor", "shift") if hasattr(op, n)}
    op = cast(Affine, replace(op, **odd))  # type: ignore[type-var]
    placed = op.placed(Placement(dtype=torch.float32))
    assert op.weight_error == 0
    for name in odd:
        exact, stored = getattr(op, name), getattr(placed, name).double()
        assert bool(((exact - stored).abs() <= placed.weight_error * stored.abs()).all())
    assert placed.magnitude().weight_error == placed.weight_error


@pytest.mark.parametrize("case", AFFINE[Conv], ids=lambda case: str(tuple(case[0].weight.shape)))
def test_conv_is_a_cross_correlation(case: tuple[Conv, Shape]) -> None:
    op, shape = case
    x = whole(3, 2, *shape)
    top, left, bottom, right = op.pads
    padded = F.pad(x, (left, right, top, bottom))
    expected = F.conv2d(padded, op.weight, op.bias, op.stride, 0, op.dilation, op.groups)
    assert torch.equal(op.value(x), expected)


@pytest.mark.parametrize("second", range(4))
@pytest.mark.parametrize("first", range(len(AFFINE[Conv])))
def test_patches_through_two_convolutions(first: int, second: int) -> None:
    op, shape = AFFINE[Conv][first]
    middle = op.shape(shape)
    above, _ = [
        conv((3, 1), middle, pads=(2, 0, 1, 0)),
        conv((1, 1), middle, stride=(2, 1)),
        conv((2, 2), middle, stride=(1, 2), pads=(1, 1, 1, 1)),
        conv((2, 2), middle, dilation=(2, 1), pads=(4, 2, 3, 1), out=2),
    ][second]  # type: ignore[misc]
    top = above.shape(middle)
    index = torch.arange(math.prod(top))
    (state,) = above.coordinates(index, top, whole(0, 1))
    (below,) = op.adjoint(state)
    assert torch.equal(spread(below).flatten(1), matrix(above, (middle,)) @ matrix(op, (shape,)))
    shifted = state.plus(above.adjoint(Functional.unit(index, top, whole(0, 1)))[0])
    assert torch.equal(spread(shifted), 2 * spread(state))


def test_sums_of_patches_on_different_places() -> None:
    shape = (2, 6, 7)
    for first, second in itertools.product(patches(shape, 1), patches(shape, 2)):
        if first.rows() == second.rows():
            total = spread(first) + spread(second)
            assert torch.equal(spread(first.plus(second)), total)
            if second.origin is not None:  # the same offset in every row, then one that is not
                for shift in (
                    torch.tensor([1, -1]),
                    torch.tensor([[0, 0], [1, 0], [0, 2], [0, 0]]),
                ):
                    moved = Functional(second.values * 0, shape, second.origin + shift)
                    assert torch.equal(spread(first.plus(moved)), spread(first))


# --- elementwise --------------------------------------------------------------------------


def true_value(op: Elementwise, x: Fraction) -> Fraction:
    """The function in exact arithmetic, or to 60 digits and more."""
    match op:
        case Relu():
            value = max(x, Fraction(0))
        case LeakyRelu():
            value = x if x >= 0 else x * Fraction(op.negative_slope.item())
        case Clip():
            value = x if op.low == -math.inf else max(x, Fraction(op.low))
            value = value if op.high == math.inf else min(value, Fraction(op.high))
        case HardSigmoid():
            line = Fraction(op.alpha) * x + Fraction(op.beta)
            value = min(max(line, Fraction(0)), Fraction(1))
        case HardSwish():
            value = x * min(max(x + 3, Fraction(0)), Fraction(6)) / 6
        case Quantize():
            scale, low, high = (fraction(op, n) for n in ("scale", "lowest", "highest"))
            value = scale * min(max(Fraction(round(x / scale)), low), high)
        case _:
            value = smooth_value(op, x)
    return value


def fraction(op: Quantize, name: str) -> Fraction:
    return Fraction(getattr(op, name).item())


def smooth_value(op: Elementwise, x: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = 120
        at = Decimal(x.numerator) / Decimal(x.denominator)
        half = 1 / Decimal(2).sqrt()
        match op:
            case Sigmoid():
                value = logistic(at)
            case Silu():
                value = at * logistic(at)
            case Tanh():
                value = 2 * logistic(2 * at) - 1
            case Erf():
                value = erf(at)
            case Gelu():
                value = at * (1 + erf(at * half)) / 2
            case _:
                raise AssertionError(f"no reference for {type(op).__name__}: add one here")
        return Fraction(value)


def logistic(x: Decimal) -> Decimal:
    if abs(x) > 5000:
        return Decimal(x > 0)
    return 1 / (1 + (-x).exp())


def erf(x: Decimal) -> Decimal:
    if abs(x) > 12:
        return Decimal(1 if x > 0 else -1)
    total, power, n = x, x, 0
    while n < 5 or abs(power) > Decimal(10) ** -120:
        n += 1
        power *= -x * x / n
        total += power / (2 * n + 1)
    return total * 2 / PI.sqrt()


PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
    "211706798214808651328230664709384460955058223172535940812848111745028410270193852110556"
)


def ends(op: Elementwise, dtype: torch.dtype) -> list[tuple[float, float]]:
    """Boxes of every kind: points, neighbours, around knots and ties, wide, huge, subnormal."""
    info = torch.finfo(dtype)
    generator = torch.Generator().manual_seed(1)
    places = [0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.1, -0.3, 2.5, -2.5, 0.125, 0.375, 1.125, 30.0,
              -0.5 / 0.9, 31.75, -32.125, 1.4142135623730951, -2.399357280515468, 0.3749, -40.0,
              25.49375, 0.75, 2.25, 1 / 9]  # fmt: skip
    tiny, least, huge = info.tiny, info.smallest_normal * info.eps, 1e30
    boxes: list[tuple[float, float]] = []
    for place in places:
        at = torch.tensor(place, dtype=dtype)
        above = torch.nextafter(at, at + 1).item()
        below = torch.nextafter(at, at - 1).item()
        at = at.item()
        boxes += [(at, at), (below, at), (at, above), (below, above), (at - 1e-3, at + 1e-3)]
        boxes += [(at - 1e-6, at), (at, at + 1e-6), (at - 2, at + 0.5)]
    boxes += [(-least, least), (0.0, least), (least, 3 * least), (-tiny, tiny), (-1e-30, 1e-30)]
    boxes += [(-huge, huge), (huge, huge), (-huge, -huge), (-huge, 1e-30), (-200.0, 300.0)]
    boxes += [(-100.0, -90.0), (88.0, 104.0), (700.0, 800.0), (-750.0, -740.0)]
    for _ in range(20):
        first, second = (torch.randn(2, generator=generator, dtype=torch.float64) * 4).tolist()
        boxes.append((min(first, second), max(first, second)))
    as_dtype = [torch.tensor(box, dtype=torch.float64).to(dtype).double().tolist() for box in boxes]
    return [(low, high) for low, high in as_dtype]


def interval(boxes: list[tuple[float, float]], dtype: torch.dtype) -> Interval:
    table = torch.tensor(boxes, dtype=torch.float64).to(dtype)
    return Interval(table[None, :, 0], table[None, :, 1])


def members(op: Elementwise, low: float, high: float) -> list[Fraction]:
    """Exact points of a box: its ends, interior rationals, and what lies around knots and ties."""
    first, last = Fraction(low), Fraction(high)
    inside = [first + (last - first) * Fraction(k, 7) for k in (1, 2, 3, 5)]
    places = [Fraction(0), Fraction(3), Fraction(-3), Fraction(1), Fraction(6)]
    if isinstance(op, Clip):
        places += [Fraction(e) for e in (op.low, op.high) if abs(e) < math.inf]
    if isinstance(op, HardSigmoid):
        alpha, beta = Fraction(op.alpha), Fraction(op.beta)
        places += [-beta / alpha, (1 - beta) / alpha]
    if isinstance(op, Quantize):
        scale, low_code, high_code = (fraction(op, n) for n in ("scale", "lowest", "highest"))
        codes = {round(first / scale), round(last / scale), low_code, high_code}
        places += [scale * (code + Fraction(h, 2)) for code in codes for h in (-1, 1)]
    shift = Fraction(1, 2**80)
    near = [place + move for place in places for move in (-shift, 0, shift)]
    return [first, last, *inside, *(x for x in near if first <= x <= last)]


def elementwise() -> list[Any]:
    every = [op for ops in ELEMENTWISE.values() for op in ops]
    return [pytest.param(op, dtype, id=f"{type(op).__name__}-{n}-{str(dtype)[6:]}")
            for n, op in enumerate(every) for dtype in DTYPES]  # fmt: skip


def at_least(bound: float, exact: Fraction) -> bool:
    """Bound >= exact; NaN is not."""
    return bound == math.inf or (math.isfinite(bound) and Fraction(bound) >= exact)


def at_most(bound: float, exact: Fraction) -> bool:
    return at_least(-bound, -exact)


@pytest.mark.parametrize(("op", "dtype"), elementwise())
def test_elementwise_facts_hold_exactly(op: Elementwise, dtype: torch.dtype) -> None:
    boxes = ends(op, dtype)
    box = interval(boxes, dtype)
    placed = op.placed(Placement(dtype=dtype))
    image, sector, lines, settled = (
        placed.image(box), placed.slope(box), placed.lines(box), placed.settled(box)
    )  # fmt: skip
    slopes = torch.tensor([0.0, 1.0, -1.0, 0.5, 37.0, -1e-3, 1e-20], dtype=dtype)[:, None, None]
    slopes = torch.cat([slopes.expand(-1, 1, len(boxes)), placed.slopes(box)])
    left = placed.remainder(box, slopes)
    assert settled.shape == image.lower.shape == sector.upper.shape == box.lower.shape
    assert bool((sector.lower <= sector.upper).all())
    for n, (low, high) in enumerate(boxes):
        points = members(op, low, high)
        values = [true_value(op, x) for x in points]
        assert at_most(image.lower[0, n].item(), min(values)), ("image", low, high)
        assert at_least(image.upper[0, n].item(), max(values)), ("image", low, high)
        for slope, bottom, top in zip(
            [
                *slopes[:, 0, n].tolist(),
                lines.lower_slope[0, n].item(),
                lines.upper_slope[0, n].item(),
            ],
            [*left.lower[:, 0, n].tolist(), lines.lower_intercept[0, n].item(), -math.inf],
            [*left.upper[:, 0, n].tolist(), math.inf, lines.upper_intercept[0, n].item()],
            strict=True,
        ):
            remains = [v - Fraction(slope) * x for x, v in zip(points, values, strict=True)]
            assert at_most(bottom, min(remains)), ("floor", low, high, slope)
            assert at_least(top, max(remains)), ("ceiling", low, high, slope)
        pairs = list(itertools.combinations(zip(points, values, strict=True), 2))
        for (x, value), (other, another) in pairs[:40]:
            if abs(x - other) > APART * isinstance(op, Smooth):
                quotient = (value - another) / (x - other)
                assert at_most(sector.lower[0, n].item(), quotient), ("sector", low, high)
                assert at_least(sector.upper[0, n].item(), quotient), ("sector", low, high)


@pytest.mark.parametrize("dtype", DTYPES)
def test_slope_of_gelu_exceeds_one(dtype: torch.dtype) -> None:
    sector = Gelu().slope(interval([(-9.0, 9.0)], dtype))
    assert 1.1289 < sector.upper.item() < 1.129
    assert -0.129 < sector.lower.item() < -0.1288


@pytest.mark.parametrize("dtype", DTYPES)
def test_facts_are_tight_where_they_can_be(dtype: torch.dtype) -> None:
    """Degenerate boxes give their value, settled ReLUs their piece."""
    for op in (op for ops in ELEMENTWISE.values() for op in ops):
        box = interval([(x, x) for x in (-2.0, 0.3, 5.0)], dtype)
        image = op.placed(Placement(dtype=dtype)).image(box)
        slack = 2e4 * torch.finfo(dtype).eps
        if not isinstance(op, Quantize):
            assert bool((image.upper - image.lower <= slack).all()), type(op)
    lines = Relu().lines(interval([(1.0, 2.0), (-2.0, -1.0)], dtype))
    assert lines.lower_slope.tolist() == lines.upper_slope.tolist() == [[1.0, 0.0]]
    assert bool(Relu().settled(interval([(0.0, 1.0), (-1.0, 0.0)], dtype)).all())
    assert not bool(Relu().settled(interval([(-1e-9, 1e-9)], dtype)).any())
    one_code = quantize(0.25, -128, 127).image(interval([(0.26, 0.3)], dtype))
    assert one_code.upper.item() - one_code.lower.item() <= 2 * torch.finfo(dtype).eps


def test_ties_take_both_codes() -> None:
    """At a tie, and within a rounding of it, either code may be the true one."""
    image = quantize(0.25, -8, 7).image(interval([(0.125, 0.125), (-0.375, -0.375)], torch.float64))
    assert bool((image.lower <= torch.tensor([[0.0, -0.5]])).all())
    assert bool((image.upper >= torch.tensor([[0.25, -0.25]])).all())
    assert quantize(0.25, -8, 7).value(real(0.125)).item() == 0.0
    assert quantize(0.25, -8, 7).value(real(0.375)).item() == 0.5


def test_a_parameter_that_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(LipcertError):
        quantize(0.1, -8, 7).placed(Placement(dtype=torch.float32))


@pytest.mark.parametrize("op", [op for ops in ELEMENTWISE.values() for op in ops])
def test_value_agrees_with_the_reference(op: Elementwise) -> None:
    x = torch.linspace(-8.03, 9.01, 301, dtype=torch.float64)
    for at, value in zip(x.tolist(), op.value(x).tolist(), strict=True):
        exact = float(true_value(op, Fraction(at)))
        assert value == pytest.approx(exact, rel=1e-13, abs=1e-15)


# --- coupled ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wide", [0.0, 1e-9, 0.1, 3.0, 200.0])
@pytest.mark.parametrize("offset", [0.0, 50.0, 1e4])
def test_softmax_image(dtype: torch.dtype, wide: float, offset: float) -> None:
    generator = torch.Generator().manual_seed(3)
    middle = torch.randn(4, 5, generator=generator, dtype=torch.float64) * (1 + wide)
    middle[:, 0] += offset
    box = Interval((middle - wide).to(dtype), (middle + wide).to(dtype))
    image = Softmax().image(box)
    low, high = (end.double() for end in (box.lower, box.upper))
    for n in range(40):
        share = torch.rand(4, 5, generator=generator, dtype=torch.float64)
        share = share if n % 2 else share.round()
        value = Softmax().value((low + share * (high - low)).clamp(low, high))
        assert bool((image.lower.double() <= value).all())
        assert bool((value <= image.upper.double()).all())
