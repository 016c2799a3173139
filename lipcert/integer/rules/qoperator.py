"""Operators that read and make codes themselves."""

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.integer.encoding import Encoding
from lipcert.integer.lowering import Factors, convolution, dense, pool_window
from lipcert.integer.program import Addition, Average, Operation
from lipcert.integer.values import Encoded, NodeView, Stored, StoredCodes, Value, reads

MICROSOFT = "com.microsoft"


@reads("", "QLinearConv", auto_pad=b"NOTSET")
def qlinear_conv(view: NodeView) -> Value:
    """Input, weights and output with scale and zero point each; then the bias."""
    source = _source(view, 0)
    operation = convolution(view, _factors(view, source, axis=0, bias=8))
    return _made(view, operation, (source,), 6)


@reads("", "QLinearMatMul")
def qlinear_matmul(view: NodeView) -> Value:
    """An activation times stored weights."""
    source = _source(view, 0)
    operation = dense(_factors(view, source, axis=1, bias=None), transposed=False)
    return _made(view, operation, (source,), 6)


@reads(MICROSOFT, "QGemm", alpha=1.0, transA=0)
def qgemm(view: NodeView) -> Value:
    """A product with an integer bias."""
    source, turned = _source(view, 0), bool(view.integer("transB", 0))
    operation = dense(_factors(view, source, axis=0 if turned else 1, bias=6), turned)
    return _made(view, operation, (source,), 7)


@reads(MICROSOFT, "QLinearAdd")
def qlinear_add(view: NodeView) -> Value:
    """Two activations."""
    return _made(view, Addition(), (_source(view, 0), _source(view, 3)), 6)


@reads(MICROSOFT, "QLinearAveragePool", auto_pad=b"NOTSET", ceil_mode=0, channels_last=0)
def qlinear_average_pool(view: NodeView) -> Value:
    """With or without the padding."""
    counts = bool(view.integer("count_include_pad", 0))
    return _made(view, Average(pool_window(view), counts), (_source(view, 0),), 3)


@reads(MICROSOFT, "QLinearGlobalAveragePool", channels_last=0)
def qlinear_global_average_pool(view: NodeView) -> Value:
    """Over all axes but batch and channels."""
    return _made(view, Average(None), (_source(view, 0),), 3)


def _made(view: NodeView, operation: Operation, inputs: tuple[str, ...], place: int) -> Encoded:
    """The step, its encoding read from `place` on."""
    if view.value(place) is None:
        raise UnsupportedOp("has an output that is not quantised")
    encoding = Encoding.of(view.constant(place), view.zero_point(place + 1))
    return Encoded(view.steps.add(view.name, operation, inputs, encoding))


def _source(view: NodeView, place: int) -> str:
    """The step whose codes are read, with their own scale and zero point."""
    step = view.encoded(place)
    encoding = Encoding.of(view.constant(place + 1), view.zero_point(place + 2))
    if encoding != view.steps.encoding(step):
        raise UnsupportedOp("has another scale or zero point than the codes it reads")
    return step


def _factors(view: NodeView, source: str, axis: int, bias: int | None) -> Factors:
    """Weights from the fourth input on, their outputs along `axis`; a bias where it is given."""
    value = view.value(3)
    if not isinstance(value, Stored):
        raise UnsupportedOp("input 3 holds no stored weights")
    weights = StoredCodes(value.values, view.constant(4), view.constant(5), axis, value.name)
    encoding = view.steps.encoding(source)
    given = None if bias is None else view.value(bias)
    if given is None:
        return Factors(encoding, weights, None, shifted=False)
    if not isinstance(given, Stored):
        raise UnsupportedOp(f"input {bias} holds no stored bias")
    unit = np.asarray(np.float32(encoding.scale) * weights.scale)  # understood, not stored
    codes = StoredCodes(
        given.values.reshape(-1), unit.reshape(-1), np.zeros((), np.int64), 0, given.name
    )
    return Factors(encoding, weights, codes, shifted=False)
