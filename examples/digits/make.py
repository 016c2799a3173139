"""Make the shipped pair: train, export, quantise and prune a small network on the digits.

    python examples/digits/make.py [FOLDER]

Needs scikit-learn (`pip install lipcert[test]`); takes about half a minute on one core. The seed is
fixed and one thread is used, so a run repeats itself; another build of torch may round otherwise.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SEED = 0
EPOCHS = 120
BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.2  # keeps the slopes small, so that bounds on regions say something
CALIBRATION = 500  # training images that set the quantisation ranges
REMOVED = 5  # channels that the pruned twin lacks, of 40

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Digits:
    """8x8 images of digits, scaled to [0, 1], and their labels."""

    images: Float[Tensor, "batch 1 8 8"]
    labels: Int[Tensor, " batch"]


def load() -> tuple[Digits, Digits]:
    """Training and test images: 1347 and 450, each class in proportion."""
    data = load_digits()
    images = (data.images / 16.0).astype(np.float32)[:, None]
    parts = train_test_split(images, data.target, random_state=SEED, stratify=data.target)
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, parts)
    return Digits(train_images, train_labels), Digits(test_images, test_labels)


def network() -> nn.Sequential:
    """Three convolutions, the second with stride 2, and a linear layer: 6138 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def batches(digits: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order."""
    for index in torch.randperm(len(digits.labels)).split(BATCH):
        yield digits.images[index], digits.labels[index]


def train(digits: Digits) -> Weights:
    """Weights of the trained network, by names that the ONNX files keep."""
    torch.manual_seed(SEED)
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for images, labels in batches(digits):
            loss = nn.functional.cross_entropy(model(images), labels, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    names = {"0": "conv1", "2": "conv2", "4": "conv3", "7": "fc"}
    state = model.state_dict()
    return {f"{names[key.split('.')[0]]}.{key.split('.')[1]}": state[key] for key in state}


def forward(weights: Weights, images: Tensor) -> Tensor:
    """Logits of the network with these weights, whatever its channel counts."""
    hidden = images
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 1)):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        hidden = nn.functional.conv2d(hidden, weight, bias, stride=stride, padding=1).relu()
    return nn.functional.linear(hidden.flatten(1), weights["fc.weight"], weights["fc.bias"])


def without_channel(weights: Weights, layer: int, channel: int) -> Weights:
    """The same network with one channel physically gone, from its layer and from the next."""
    name, consumer = f"conv{layer}", ("conv2", "conv3", "fc")[layer - 1]
    count = len(weights[f"{name}.bias"])
    keep = [index for index in range(count) if index != channel]
    taken = weights[f"{consumer}.weight"]
    rest = taken.unflatten(1, (count, -1))[:, keep].flatten(1, 2)
    return weights | {
        f"{name}.weight": weights[f"{name}.weight"][keep],
        f"{name}.bias": weights[f"{name}.bias"][keep],
        f"{consumer}.weight": rest.reshape(len(taken), -1, *taken.shape[2:]),
    }


def prune(weights: Weights, images: Tensor, count: int) -> Weights:
    """`count` channels fewer, one at a time the one whose loss moves the logits least.

    What remains keeps its weights: nothing is tuned afterwards.
    """
    logits = forward(weights, images)
    for _ in range(count):
        candidates = [
            without_channel(weights, layer, channel)
            for layer in (1, 2, 3)
            for channel in range(len(weights[f"conv{layer}.bias"]))
        ]
        moved = [float((forward(each, images) - logits).abs().mean()) for each in candidates]
        weights = candidates[int(np.argmin(moved))]
    return weights


def to_onnx(weights: Weights) -> onnx.ModelProto:
    """Opset 17, a free batch dimension, and one name for each tensor in every file."""
    nodes = []
    hidden = "x"
    for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 1)):
        inputs = [hidden, f"{name}.weight", f"{name}.bias"]
        shape = {"kernel_shape": [3, 3], "strides": [stride] * 2, "pads": [1] * 4}
        nodes.append(helper.make_node("Conv", inputs, [f"{name}.out"], name=name, **shape))
        hidden = name.replace("conv", "relu")
        nodes.append(helper.make_node("Relu", [f"{name}.out"], [hidden], name=hidden))
    nodes.append(helper.make_node("Flatten", [hidden], ["flat"], name="flatten", axis=1))
    inputs = ["flat", "fc.weight", "fc.bias"]
    nodes.append(helper.make_node("Gemm", inputs, ["logits"], name="fc", transB=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="lipcert")
    onnx.checker.check_model(model, full_check=True)
    return model


class Calibration(CalibrationDataReader):
    """Feeds images one by one to the quantiser."""

    def __init__(self, images: Tensor) -> None:
        """Reads `images` once, in order."""
        self._rows = iter(images.split(1))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next image, or None after the last."""
        row = next(self._rows, None)
        return None if row is None else {"x": row.numpy()}


def quantise(source: Path, target: Path, images: Tensor) -> None:
    """Static QDQ: weights int8 per channel, activations uint8.

    Seven bits of weight range (`reduce_range`), so that no pair of products saturates in the
    int16 sums of x86 processors without VNNI: every kernel then computes the same function.
    """
    quantize_static(
        source,
        target,
        Calibration(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


def logits_of(path: Path, images: Tensor) -> NDArray[np.float32]:
    """What ONNX Runtime computes from the file, its graph optimisation off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"x": images.numpy()})
    return logits


def choose(test: Digits, labels_by_file: list[NDArray[np.int64]]) -> list[int]:
    """For each digit the first test image that every file classifies correctly."""
    truth = test.labels.numpy()
    correct = np.all([labels == truth for labels in labels_by_file], axis=0)
    return [int(np.flatnonzero(correct & (truth == digit))[0]) for digit in range(10)]


def report(test: Digits, paths: list[Path]) -> list[NDArray[np.int64]]:
    """Print accuracy, size and drift of each file on the test images; return its labels."""
    outputs = [logits_of(path, test.images) for path in paths]
    labels = [output.argmax(axis=1) for output in outputs]
    print(f"{'file':20} {'accuracy':>8} {'bytes':>7} {'same label':>10} {'max |drift|':>11}")
    for path, output, label in zip(paths, outputs, labels, strict=True):
        accuracy = float(np.mean(label == test.labels.numpy()))
        same = float(np.mean(label == labels[0]))
        drift = float(np.abs(output - outputs[0]).max())
        size = path.stat().st_size
        print(f"{path.name:20} {accuracy:8.4f} {size:7d} {same:10.4f} {drift:11.4f}")
    return labels


def main() -> None:
    """Write the three models and the inputs, and print how good they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser's hint to preprocess
    training, test = load()
    weights = train(training)
    pruned = prune(weights, training.images, REMOVED)
    names = ("model.onnx", "model.int8.onnx", "model.pruned.onnx")
    original, int8, smaller = (folder / name for name in names)
    onnx.save(to_onnx(weights), original)
    onnx.save(to_onnx(pruned), smaller)
    quantise(original, int8, training.images[:CALIBRATION])
    labels = report(test, [original, int8, smaller])
    counts = [len(pruned[f"conv{layer}.bias"]) for layer in (1, 2, 3)]
    print(f"channels: 8, 16, 16 originally; {', '.join(map(str, counts))} after pruning")
    rows = choose(test, labels)
    images, truth = test.images[rows].numpy(), test.labels[rows].numpy()
    np.savez(folder / "inputs.npz", x=images, y=truth)
    print(f"inputs.npz: one image of each digit, test rows {rows}")


if __name__ == "__main__":
    main()
