"""LiteRT's int8 arithmetic against its reference kernels: no code may differ.

Reference, built-in and XNNPACK kernels differ from one another; the semantics `litert` is that of
the reference kernels (op resolver BUILTIN_REF).
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipcert.errors import BadInput, UnsupportedOp
from lipcert.integer.litert import codes_of, evaluate
from lipcert.integer.litert.fixed_point import Multiplier
from lipcert.read.litert import read_litert

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

from litert_cases import CASES
from litert_net import WIDE, Net, rand
from litert_random import RANDOM, Draw
from litert_runtime import reference

REPEATS = 8
NUMBERS = {"half"}  # cases without codes


def inputs(shape: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """Random codes, the extremes among them; of 256 entries, every code once."""
    if shape == (256,):
        return np.arange(-128, 128)[None]
    codes = np.random.default_rng(seed).integers(-128, 128, (count, *shape))
    codes[0], codes[1] = -128, 127
    return codes


def agree(litert: ModuleType, path: Path, seed: int) -> None:
    program = read_litert(path)
    codes = inputs(program.input_shape, 20, seed)
    place, _ = program.output
    (found,) = reference(litert, path, codes, [place])
    np.testing.assert_array_equal(codes_of(program, codes)[place], found)


@pytest.mark.parametrize("name", RANDOM)
def test_random_operators(litert: ModuleType, tmp_path: Path, name: str) -> None:
    for seed in range(REPEATS):
        net = Net(coded=True)
        RANDOM[name](net, Draw(seed))
        agree(litert, net.save(tmp_path / "x.tflite"), seed)


@pytest.mark.parametrize("name", [name for name in CASES if name not in {*NUMBERS, "between"}])
def test_operators_and_idioms(litert: ModuleType, tmp_path: Path, name: str) -> None:
    net = Net(coded=True)
    CASES[name](net)
    agree(litert, net.save(tmp_path / "x.tflite"), 1)


def test_numbers_are_quantised_as_litert_does(litert: ModuleType, tmp_path: Path) -> None:
    net = Net(coded=True)
    CASES["between"](net)
    path = net.save(tmp_path / "x.tflite")
    program = read_litert(path)
    steps = np.random.default_rng(0).integers(-400, 400, (50, 6)) / 2  # ties among them
    values = (steps * np.float32(program.input[1].scale)).astype(np.float32)
    kernels = litert.OpResolverType.BUILTIN_REF
    session = litert.Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kernels)
    session.allocate_tensors()
    (entry,), (end,) = session.get_input_details(), session.get_output_details()
    for row in values:
        session.set_tensor(entry["index"], row[None])
        session.invoke()
        exact = evaluate(program, row[None]).astype(np.float32)
        np.testing.assert_array_equal(session.get_tensor(end["index"]), exact)


@pytest.mark.data
@pytest.mark.parametrize("name", ["ic_resnet8_int8", "sww_dscnn1d_int8"])
def test_published_networks_tensor_by_tensor(litert: ModuleType, data: Path, name: str) -> None:
    path = data / "mlperf_tiny" / f"{name}.tflite"
    program = read_litert(path)
    codes = inputs(program.input_shape, 12, 0)
    made = codes_of(program, codes)
    places = [step.output for step in program.steps]
    for place, found in zip(places, reference(litert, path, codes, places), strict=True):
        np.testing.assert_array_equal(made[place], found)


def rounded(value: int, mantissa: int, shift: int) -> int:
    """The specification, in unlimited integers: two roundings."""
    product = value * 2 ** max(shift, 0) * mantissa
    high = (product + 2**30) // 2**31
    right = max(-shift, 0)
    size = (abs(high) * 2 + 2**right) // 2 ** (right + 1)
    return size if high >= 0 else -size


@given(st.integers(-(2**24), 2**24), st.integers(2**30, 2**31 - 1), st.integers(-31, 6))
def test_fixed_point_products(value: int, mantissa: int, shift: int) -> None:
    found = Multiplier(np.array(mantissa), np.array(shift))
    assert int(found.times(np.array(value))) == rounded(value, mantissa, shift)
    exact = value * mantissa / 2 ** (31 - shift)
    assert abs(int(found.times(np.array(value))) - exact) <= 0.5 + float(found.stray())


def refused(path: Path, message: str) -> None:
    with pytest.raises(UnsupportedOp, match=message):
        read_litert(path)


def test_what_has_no_integer_kernel_is_listed(tmp_path: Path) -> None:
    net = Net(coded=True)
    x = net.value(6)
    a = net.op("NEG", [x], net.value(6))
    net.op("SUM", [a, net.integers([1])], net.value(1))
    refused(net.save(tmp_path / "x.tflite"), r"2 operators .*\n  NEG 't1'.*\n  SUM 't3'")


def test_numbers_are_refused(tmp_path: Path) -> None:
    net = Net(coded=False)
    w, _ = net.weight(rand(5, 6), None)
    net.op("FULLY_CONNECTED", [net.value(6), w, -1], net.value(5), ("FullyConnectedOptions", {}))
    refused(net.save(tmp_path / "x.tflite"), "neither codes nor quantised")


def test_inputs_of_another_shape_are_refused(tmp_path: Path) -> None:
    net = Net(coded=True)
    net.op("RELU", [net.value(6)], net.value(6, grid=WIDE))
    with pytest.raises(BadInput, match=r"\(6,\)"):
        evaluate(read_litert(net.save(tmp_path / "x.tflite")), np.zeros((2, 5)))
