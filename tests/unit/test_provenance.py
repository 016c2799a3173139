"""What a certificate says about where it came from."""

import hashlib
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.numeric import machine

if str(Path(__file__).parents[1] / "conformance") not in sys.path:
    sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from litert_net import Net, rand

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def dense(path: Path, *, coded: bool) -> Path:
    """A LiteRT file of one layer."""
    net = Net(coded)
    x = net.value(6)
    w, _ = net.weight(rand(5, 6), None)
    net.op("FULLY_CONNECTED", [x, w, -1], net.value(5), ("FullyConnectedOptions", {}))
    return net.save(path)


def hashes(files: tuple[Path, Path], shape: tuple[int, ...]) -> list[str | None]:
    """Of both files, as a certificate gives them."""
    region = lipcert.Box.around(np.zeros((1, *shape)), 0.1)
    attack = DriftAttack(steps=0, restarts=0)
    result = lipcert.certify(lipcert.load_pair(*files), region, attack=attack)
    return [network.file_sha256 for _, network in result.provenance.networks]


def test_files_of_any_format_are_named_by_their_hash(tmp_path: Path) -> None:
    litert = (dense(tmp_path / "f.tflite", coded=False), dense(tmp_path / "g.tflite", coded=True))
    onnx = (DIGITS / "model.onnx", DIGITS / "model.int8.onnx")
    for files, shape in ((litert, (6,)), (onnx, (1, 8, 8))):
        wanted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        assert hashes(files, shape) == wanted


def test_hardware_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUS", tmp_path / "cpuinfo")
    machine.CPUS.write_text("vendor_id : A\nmodel name\t: Abacus 9\nmodel name\t: Abacus 9\n")
    assert machine.machine().startswith(f"Abacus 9, {platform.machine()} {platform.system()}, ")
    machine.CPUS.unlink()
    assert platform.machine() in machine.machine()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Abacus GPU")
    assert lipcert.Placement(torch.device("cuda:1")).hardware() == "cuda:1 (Abacus GPU)"
    assert lipcert.Placement().hardware() == "cpu"
