"""Whatever slopes, partners and places evidence names, what is derived with it is true."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from checker_pairs import conv_pair, dense_pair, leaky_blocks
from onnx import helper, numpy_helper

from lipcert.certificate.evidence import SlopeEvidence
from lipcert.check.claim import Arrays, Regions, derived, evaluated
from lipcert.check.network import read
from lipcert.check.reader import INPUT, Steps

SEEDS, SAMPLES = 60, 100
Chance = np.random.Generator


def networks(folder: Path, chance: Chance, seed: int) -> list[Steps]:
    """Two that belong together; some end in a softmax, behind logits that are far apart."""
    kind = chance.integers(3)
    if kind == 2:
        files = [leaky_blocks(folder / f"{k}.onnx", seed + k) for k in range(2)]
    else:
        files = [*(dense_pair, conv_pair)[kind](folder, seed)]
    if chance.random() < 0.4:
        scale = np.float32(10 ** chance.uniform(0, 2))
        for path in files:
            path.write_bytes(probabilities(onnx.load(path), scale).SerializeToString())
    return [read(path.read_bytes()) for path in files]


def probabilities(model: onnx.ModelProto, scale: np.float32) -> onnx.ModelProto:
    """A softmax of multiples of what the model makes."""
    model.graph.node[-1].output[0] = "made"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(scale), "scale"))
    model.graph.node.append(helper.make_node("Mul", ["made", "scale"], ["logits"]))
    model.graph.node.append(helper.make_node("Softmax", ["logits"], ["output"]))
    return model


def arbitrary(chance: Chance, f: Steps, g: Steps) -> tuple[SlopeEvidence, Arrays]:
    """Slopes that are sensible or not, partners that are alike or not."""
    arrays, slopes, partners = dict[str, np.ndarray](), dict[str, str](), {}
    sizes = {name: int(np.prod(step.shape)) for name, step in f.items()}

    def add(name: str, rows: int, count: int) -> None:
        wild = chance.normal(size=(1, rows, count)) * 10 ** chance.uniform(-2, 3)
        sound = chance.uniform(-0.3, 1.3, (1, rows, count))
        arrays[name], slopes[name] = (wild if chance.random() < 0.2 else sound), name

    for prefix, steps in (("f:", f), ("g:", g)):
        for name, step in steps.items():
            if step.act is not None:
                add(prefix + name, 2, int(np.prod(step.shape)))
    for name, step in g.items():
        if step.act is None or chance.random() < 0.2:
            continue
        alike = name in f and f[name].act is not None and chance.random() < 0.8
        original, kept = name if alike else str(chance.choice([*f])), None
        count = int(np.prod(step.shape))
        if sizes[original] != count or chance.random() < 0.1:
            kept = f"kept {name}"
            arrays[kept] = chance.integers(0, sizes[original], count).astype(float)
        both = f[original].act is not None and (alike or chance.random() < 0.7)
        partners[name] = original, both, kept
        add(f"D:h:{name}", 4, count)
    return SlopeEvidence(slopes=slopes, partners=partners), arrays


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_derived_is_true(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    both = networks(tmp_path, chance, seed)
    evidence, arrays = arbitrary(chance, *both)
    centre, radius = chance.normal(size=(1, *both[0][INPUT].shape)), 10 ** chance.uniform(-3, 0.3)
    moves = chance.normal(size=(SAMPLES, *centre.shape[1:]))
    around = None
    if chance.random() < 0.5:
        around = centre, radius
        length = np.linalg.norm(moves.reshape(SAMPLES, -1), axis=1)
        moves *= (radius * (1 - 1e-9) / length).reshape(-1, *[1] * (moves.ndim - 1))
    else:
        moves = np.clip(moves, -1, 1) * radius * (1 - 1e-9)
    regions = Regions(centre - radius, centre + radius, around=around)
    boxes, agree = derived(both, regions, evidence, arrays, 0)[1:]
    f, g = (evaluated(steps, centre + moves) for steps in both)
    drift = g[0] - f[1], g[1] - f[0]
    for name, (low, high) in (("original", f), ("compressed", g), ("drift", drift)):
        pad = 1e-15 * (1 + np.abs(low))  # of the subtraction
        assert (boxes[name][0][:, 0] <= high + pad).all()
        assert (low - pad <= boxes[name][1][:, 0]).all()
    if agree:
        assert len({*f[0].argmax(1).tolist(), *g[0].argmax(1).tolist()}) == 1
