"""Inputs of the shared networks, as those networks read them."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph
from lipcert.ops.quantize import Quantize

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"


def digits() -> np.ndarray:
    """The shipped inputs, (10, 1, 8, 8), in 0..1."""
    return np.load(DIGITS / "inputs.npz")["x"]


def mnist(data: Path, count: int) -> np.ndarray:
    """First test images, (count, 784), pixels in 0..1."""
    raw = gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
    return pixels[:count].astype(np.float64) / 255


def har(data: Path, count: int) -> np.ndarray:
    """First stored inputs, (count, 561), features in -1..1."""
    return np.load(data / "har/har100.npz")["x"][:count]


def sww(data: Path, count: int) -> np.ndarray:
    """First stored spectrograms, (count, 40, 30, 1), values in 0..1."""
    stored = np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"]
    return stored[:count].transpose(0, 3, 1, 2).copy()


def cifar(data: Path, count: int) -> np.ndarray:
    """First stored images, (count, 3, 32, 32), raw pixels in 0..255."""
    stored = np.load(data / "cifar10/test100.npz")["x"]
    return stored[:count].transpose(0, 3, 1, 2).astype(np.float64)


def step(quantised: LayerGraph) -> float:
    """Between two codes of a quantised network's input."""
    return float(_grid(quantised).scale.max())


def made(quantised: LayerGraph, count: int, seed: int = 0) -> Tensor:
    """Seeded inputs on the input grid of a quantised network.

    Codes are normal around the middle of their range, an eighth of it wide. They stand in where
    no real inputs are at hand.
    """
    grid = _grid(quantised)
    lowest, highest = float(grid.lowest.min()), float(grid.highest.max())
    generator = torch.Generator().manual_seed(seed)
    chance = torch.randn(count, *quantised.input.shape, generator=generator).double()
    codes = (lowest + highest) / 2 + chance * (highest - lowest) / 8
    return codes.round().clamp(lowest, highest) * step(quantised)


def _grid(quantised: LayerGraph) -> Quantize:
    """Of the network's input."""
    return next(node.op for node in quantised.nodes if isinstance(node.op, Quantize))
