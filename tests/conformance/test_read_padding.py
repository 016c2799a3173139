"""Padding that operators choose by themselves: as ONNX Runtime does, or refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from lipcert.errors import UnsupportedOp
from lipcert.read import read_onnx
from tests.conftest import Maker, Runtime

WEIGHTS = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
SLIDES = list(itertools.product((5, 6), (1, 2, 3), (1, 2, 4, 6), (1, 2)))


def written(onnx_file: Maker, kind: str, how: str, slide: tuple[int, int, int, int]) -> Path:
    """An operator over a map of some size: kernel, stride and dilation."""
    size, kernel, stride, dilation = slide
    words = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "auto_pad": how}
    words |= {"dilations": [dilation] * 2} if dilation > 1 else {}
    tensors = {"w": WEIGHTS[:, :, :kernel, :kernel]} if kind == "Conv" else {}
    made = helper.make_node(kind, ["x", *tensors], ["y"], **words)
    return onnx_file([made], tensors, (1, 2, size, size), opset=19)


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kind", ["Conv", "MaxPool", "AveragePool"])
def test_read_as_it_is_run_or_refused(
    onnx_file: Maker, runtime: Runtime, kind: str, how: str
) -> None:
    agreed = 0
    for slide in SLIDES:
        path = written(onnx_file, kind, how, slide)
        x = np.random.default_rng(1).normal(size=(1, 2, *slide[:1] * 2)).astype(np.float32)
        try:
            expected = runtime(path, x)
            values = read_onnx(path).values(torch.from_numpy(x).double())
        except (UnsupportedOp, Fail, InvalidArgument, RuntimeException):
            continue
        found = list(values.values())[-1].numpy()
        assert found.shape == expected.shape, slide
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=str(slide))
        agreed += 1
    assert agreed > len(SLIDES) // 4


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER"])
def test_what_runtimes_crop_or_overlook_is_refused(onnx_file: Maker, how: str) -> None:
    with pytest.raises(UnsupportedOp, match="no window reads"):
        read_onnx(written(onnx_file, "Conv", how, (6, 1, 6, 1)))
    for kind in ("MaxPool", "AveragePool"):
        with pytest.raises(UnsupportedOp, match="dilations"):
            read_onnx(written(onnx_file, kind, how, (6, 2, 1, 2)))
