"""Make an int8 network whose accuracy hides what saturating kernels do to it.

    python examples/overflow/make.py [FOLDER]

Quantises the shipped digits network twice, with weights of eight and of seven bits, and asks the
overflow check about both before anything runs. Then it prints, under exact integers and under the
pair sums that saturate on x86 processors without VNNI: accuracy and drift on the test images, and
for all inputs around some of them the drift that is proved beside the largest that was found. Needs
scikit-learn (`pip install lipcert[test]`); takes half a minute.
"""

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import lipcert
from lipcert.graph.semantics import Semantics
from lipcert.integer import evaluate, overflow
from lipcert.read.integer import read_integer

ORIGINAL = Path(__file__).resolve().parents[1] / "digits" / "model.onnx"
BRIGHTER = np.float32(1.5)  # calibration images too, so that no test logit is cut off
SEED = 0  # the split that the original was trained on
EPS, SOME = 0.001, 10  # radius of the regions that are certified, around the first test images
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """One quantised file, judged before it ran, and how it then behaved on the test images.

    Args:
        path: the file.
        safe: what the overflow check says of it.
        accuracy: of the original ("float") and under each integer semantics.
        drift: largest difference from the original's logits, under each integer semantics.
        certified: proved, and found, all over the regions, under each integer semantics.
    """

    path: Path
    safe: bool
    accuracy: dict[str, float]
    drift: dict[str, float]
    certified: dict[str, tuple[float, float]]


class Calibration(CalibrationDataReader):
    """Feeds images one by one to the quantiser."""

    def __init__(self, images: Images) -> None:
        """Reads `images` once, in order."""
        self._rows = iter(images)

    def get_next(self) -> dict[str, Images] | None:
        """The next image, or None after the last."""
        row = next(self._rows, None)
        return None if row is None else {"x": row[None]}


def digits() -> tuple[Images, Images, NDArray[np.int64]]:
    """Training images, test images and test labels."""
    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[:, None]
    parts = train_test_split(images, data.target, random_state=SEED, stratify=data.target)
    return parts[0], parts[1], parts[3]


def quantise(target: Path, images: Images, *, reduce_range: bool) -> Path:
    """Weights int8 per channel, activations uint8; `reduce_range`: seven bits of weights."""
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser's hint to preprocess
    quantize_static(
        ORIGINAL,
        target,
        Calibration(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    return target


def judged(path: Path, images: Images, labels: NDArray[np.int64]) -> Quantised:
    """The check first, then both semantics on the test images and around some of them."""
    program = read_integer(path)
    safe = overflow(program).safe
    session = onnxruntime.InferenceSession(ORIGINAL, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"x": images})
    accuracy = {"float": float(np.mean(logits.argmax(axis=1) == labels))}
    region = lipcert.Box.around(images[:SOME], EPS, clip=(0.0, 1.0))
    drift: dict[str, float] = {}
    certified: dict[str, tuple[float, float]] = {}
    for semantics in (Semantics.INT8, Semantics.ORT_X86_SAT16):
        outputs = evaluate(program, images, semantics)
        accuracy[semantics] = float(np.mean(outputs.argmax(axis=1) == labels))
        drift[semantics] = float(np.abs(outputs - logits).max())
        proof = lipcert.certify(lipcert.load_pair(ORIGINAL, path, semantics=semantics), region)
        assert proof.observed_drift is not None
        certified[semantics] = float(proof.max_drift.max()), float(proof.observed_drift.max())
    return Quantised(path, safe, accuracy, drift, certified)


def build(folder: Path) -> tuple[Quantised, Quantised]:
    """Both files written and judged: eight bits of weights, then seven."""
    training, images, labels = digits()
    brighter = np.clip(training * BRIGHTER, 0, 1)
    calibration = np.concatenate([training, brighter])
    eight = quantise(folder / "model.eight.onnx", calibration, reduce_range=False)
    seven = quantise(folder / "model.seven.onnx", calibration, reduce_range=True)
    return judged(eight, images, labels), judged(seven, images, labels)


def main() -> None:
    """Write the two files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out/overflow"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'':52} {f'within {EPS} of {SOME} images':>26}")
    print(
        f"{'file':18} {'check':7} {'semantics':14} {'accuracy':>8} {'max |drift|':>11} "
        f"{'proved |drift|':>14} {'found':>7}"
    )
    for made in build(folder):
        verdict = "safe" if made.safe else "unsafe"
        for semantics, drift in made.drift.items():
            accuracy = made.accuracy[semantics]
            proved, found = made.certified[semantics]
            print(
                f"{made.path.name:18} {verdict:7} {semantics:14} {accuracy:8.4f} {drift:11.4f} "
                f"{proved:14.4f} {found:7.4f}"
            )
    print(f"accuracy in float: {made.accuracy['float']:.4f}")


if __name__ == "__main__":
    main()
