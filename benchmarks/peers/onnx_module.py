"""ONNX files as `nn.Module`s for the peer, by onnx2torch: a reader that is not ours."""

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from benchmarks.peers.auto_lirpa import PeerMissingError


class Difference(nn.Module):
    """Joint graph of the drift: compressed(x) - original(x)."""

    def __init__(self, original: nn.Module, compressed: nn.Module) -> None:
        """Hold both networks; they read the same input."""
        super().__init__()
        self.original = original
        self.compressed = compressed

    def forward(self, x: Tensor) -> Tensor:
        """The drift at x."""
        return self.compressed(x) - self.original(x)


def import_onnx2torch() -> ModuleType:
    """The imported `onnx2torch` package.

    Raises:
        PeerMissingError: if it is not installed.
    """
    try:
        with _torchvision_stand_in():
            return importlib.import_module("onnx2torch")
    except ModuleNotFoundError as error:
        raise PeerMissingError(
            f"onnx2torch is not usable here (no module {error.name!r}); install it as "
            "benchmarks/peers/requirements.txt says"
        ) from error


def load_module(path: Path) -> nn.Module:
    """The network of an ONNX file, in evaluation mode.

    Raises:
        PeerMissingError: if onnx2torch is not installed.
    """
    module = import_onnx2torch().convert(str(path)).eval()
    for name, part in list(module.named_children()):
        if isinstance(part, nn.Sequential) and isinstance(part[1], nn.Conv2d):
            setattr(module, name, _evenly_padded(part[0].pads, part[1]))
    return module


def _evenly_padded(pads: list[int], conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution of the padded input, exactly, by zeros in the kernel.

    The peer reads neither Pad nor uneven pads: both sides get the larger pad, and the kernel
    grows by zeros on the side that needed less.

    Args:
        pads: left, right, top, bottom (torch's order).
        conv: undilated, with no padding of its own.
    """
    left, right, top, bottom = pads[:4]
    if any(pads[4:]) or conv.dilation != (1, 1) or conv.padding not in {0, (0, 0)}:
        raise ValueError(f"the peer cannot take pads {pads} before {conv}")
    grown = [max(right - left, 0), max(left - right, 0), max(bottom - top, 0), max(top - bottom, 0)]
    weight = nn.functional.pad(conv.weight.detach(), grown)
    even = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        tuple(weight.shape[2:]),
        stride=conv.stride,
        padding=(max(top, bottom), max(left, right)),
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    even.weight, even.bias = nn.Parameter(weight), conv.bias
    return even


@contextlib.contextmanager
def _torchvision_stand_in() -> Iterator[None]:
    """`import torchvision` works: onnx2torch does it for two operators that we never meet."""
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    vision, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
    vision.__dict__["ops"] = ops
    ops.__dict__["roi_align"] = None
    stand_ins = {"torchvision": vision, "torchvision.ops": ops}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]
