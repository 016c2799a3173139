"""Bound, CPU seconds and peak memory of the peer's CROWN on the shared networks.

One case a process, so that peaks do not mix:

    python -m benchmarks.peers.measure DATA sww-joint --eps 0.1
    python -m benchmarks.peers.measure DATA mnist --eps 3 --input 1 --dtype float64

`eps` is in 1/255 of the input range. One JSON line comes out; seconds are CPU seconds of
one thread, and memory is what the pass adds to the resident set at its peak.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers.auto_lirpa import build_graph, computing_in, crown_of
from benchmarks.peers.onnx_module import Difference, load_module

Value = TypeVar("Value")

CASES: dict[str, tuple[str, ...]] = {
    "sww": ("mlperf_tiny/sww_dscnn1d_float.onnx",),
    "sww-joint": (
        "mlperf_tiny/sww_dscnn1d_float.onnx",
        "mlperf_tiny/sww_dscnn1d_int8_weights_only.onnx",
    ),
    "mnist": ("mnist/mnist_relu_3_100.onnx",),
    "mnist-joint": ("mnist/mnist_relu_3_100.onnx", "mnist/mnist_relu_3_100_16bit.onnx"),
    "resnet8": ("mlperf_tiny/ic_resnet8_float.onnx",),
    "resnet8-joint": (
        "mlperf_tiny/ic_resnet8_float.onnx",
        "mlperf_tiny/ic_resnet8_int8_weights_only.onnx",
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case took and gave."""

    case: str
    eps_255: float
    input: int
    dtype: str
    torch: str
    largest_bound: float
    mean_width: float
    build_seconds: float
    first_pass_seconds: float
    best_pass_seconds: float
    peak_mib: float


def read_input(data: Path, case: str, index: int) -> tuple[Tensor, float]:
    """Input `index` of the case's network, as a batch of one, and its range's top."""
    if case.startswith("sww"):
        specs = np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"]
        return torch.tensor(specs[index].transpose(2, 0, 1))[None], 1.0
    if case.startswith("mnist"):
        raw = gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
        return torch.tensor(pixels[index].astype(np.float32))[None], 255.0
    images = np.load(data / "cifar10/test100.npz")["x"]
    return torch.tensor(images[index].transpose(2, 0, 1).astype(np.float32))[None], 255.0


def read_module(data: Path, case: str) -> nn.Module:
    """Network of the case, or the joint graph of its two networks."""
    modules = [load_module(data / name) for name in CASES[case]]
    return modules[0] if len(modules) == 1 else Difference(modules[0], modules[1])


def measure(data: Path, case: str, eps: float, index: int, dtype: torch.dtype) -> Measured:
    """Three CROWN passes of the peer on one case."""
    centre, top = read_input(data, case, index)
    centre, radius = centre.to(dtype), eps * top / 255
    lower, upper = (centre - radius).clamp(0, top), (centre + radius).clamp(0, top)
    module = read_module(data, case)
    with computing_in(dtype):
        build, (graph, box) = seconds_of(lambda: build_graph(module, lower, upper))
        resident = status_mib("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        first, bounds = seconds_of(lambda: crown_of(graph, box))
        peak = status_mib("VmHWM") - resident
        later = [seconds_of(lambda: crown_of(graph, box))[0] for _ in range(2)]
    return Measured(
        case=case,
        eps_255=eps,
        input=index,
        dtype=str(dtype).removeprefix("torch."),
        torch=torch.__version__,
        largest_bound=float(torch.maximum(-bounds[0], bounds[1]).max()),
        mean_width=float((bounds[1] - bounds[0]).mean()),
        build_seconds=round(build, 3),
        first_pass_seconds=round(first, 3),
        best_pass_seconds=round(min([first, *later]), 3),
        peak_mib=round(peak, 1),
    )


def seconds_of(task: Callable[[], Value]) -> tuple[float, Value]:
    """CPU seconds of this process that `task` took, and its value."""
    start = time.process_time()
    value = task()
    return time.process_time() - start, value


def status_mib(field: str) -> float:
    """A memory field of this process's status, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main() -> None:
    """Measure the case that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--eps", type=float, required=True)
    parser.add_argument("--input", type=int, default=0)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    measured = measure(options.data, options.case, options.eps, options.input, dtype)
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


if __name__ == "__main__":
    main()
