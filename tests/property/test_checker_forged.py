"""What the checker must refuse: changes, with hashes as they were or made to fit."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checker_forgery import resealed, tightened
from checker_pairs import WIDTHS, dense_pair, saved
from onnx import helper

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.certificate.disk import ARRAYS
from lipcert.certificate.document import VOLATILE, ArrayFacts
from lipcert.certificate.verdict import Verdict
from lipcert.check import Answer, check
from lipcert.check.derive import Derivation
from lipcert.check.network import read
from lipcert.errors import BadFile
from lipcert.graph.pair import Pair

Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return lipcert.load_pair(*dense_pair(tmp_path_factory.mktemp("pair"), 1))


@pytest.fixture
def small(pair: Pair, tmp_path: Path) -> Stored:
    """A certificate with everything in it: a threshold that is refuted, drifts, labels."""
    inputs = np.random.default_rng(3).normal(size=(2, WIDTHS[0]))
    radius = np.array([[0.05], [0.8]])
    region = lipcert.Box.between(inputs - radius, inputs + radius)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=3, restarts=1))
    stored = load(made.save(tmp_path / "out", 0.01))
    assert check(stored.path)[0] is Answer.VERIFIED
    return stored


def leaves(value: object, path: Place = ()) -> list[Place]:
    """Every place of a JSON document that holds no further places."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in leaves(inner, (*path, key))]
    return [path]


def changed(value: object, chance: random.Random) -> object:
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + chance.choice([-1, 1, 1e-3, -0.01]) * (abs(value) or 1)
    if isinstance(value, str) and value:
        place = chance.randrange(len(value))
        return value[:place] + chr((ord(value[place]) + 1) % 127) + value[place + 1 :]
    return ["more"]


def mutated(content: Any, leaf: Place, chance: random.Random) -> None:
    """One field changed."""
    for key in leaf[:-1]:
        content = content[key]
    content[leaf[-1]] = changed(content[leaf[-1]], chance)


def flipped(arrays: dict[str, np.ndarray], name: str, chance: random.Random) -> None:
    """One bit of an array changed."""
    arrays[name] = arrays[name].copy()
    raw = arrays[name].reshape(-1).view(np.uint8)
    raw[chance.randrange(raw.size)] ^= 1 << chance.randrange(8)


def test_nothing_that_was_changed_is_verified(small: Stored) -> None:
    """500 changes: a byte of a model, a field, an entry of an array."""
    chance, facts, places = random.Random(0), small.path, small.path.with_name(ARRAYS)
    models = [Path(network.source) for _, network in small.document.provenance.networks]
    kept = {path: path.read_bytes() for path in (facts, places, *models)}
    fields = [
        leaf
        for leaf in leaves(json.loads(kept[facts]))
        if ".".join(map(str, leaf[:2])) not in VOLATILE
    ]
    for number in range(500):
        what = ("model", "field", "array")[number % 3]
        if what == "model":
            path = chance.choice(models)
            data = bytearray(kept[path])
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(data))
        elif what == "field":
            content = json.loads(kept[facts])
            mutated(content, chance.choice(fields), chance)
            facts.write_text(json.dumps(content), encoding="utf-8")
        else:
            arrays = dict(small.arrays)
            flipped(arrays, chance.choice(sorted(arrays)), chance)
            np.savez(str(places), allow_pickle=False, **arrays)
        assert check(facts)[0] is not Answer.VERIFIED, f"change {number} of a {what} was verified"
        for path, data in kept.items():
            path.write_bytes(data)
    assert check(facts)[0] is Answer.VERIFIED


def test_volatile_fields_are_the_harmless_ones(small: Stored) -> None:
    content = json.loads(small.path.read_bytes())
    content["provenance"] |= {"seconds": {}, "threads": 99, "time": "yesterday"}
    small.path.write_text(json.dumps(content), encoding="utf-8")
    assert check(small.path)[0] is Answer.VERIFIED


def test_what_is_verified_with_hashes_made_to_fit_is_true(small: Stored, pair: Pair) -> None:
    """150 forgeries of claim, result, evidence and arrays: a verified one still holds samples."""
    chance, verified = random.Random(1), 0
    honest = json.loads(small.path.read_bytes())
    fields = [leaf for leaf in leaves(honest) if leaf[0] in ("claim", "result", "evidence")]
    numbers = [name for name in small.arrays if name.startswith(("region", "slopes", "kept"))]
    for number in range(150):
        content, arrays = json.loads(json.dumps(honest)), dict(small.arrays)
        if number % 2:
            mutated(content, chance.choice(fields), chance)
        else:
            flipped(arrays, chance.choice(numbers), chance)
        content["arrays"] = {
            name: ArrayFacts.of(array).model_dump(mode="json") for name, array in arrays.items()
        }
        sealed(content)
        small.path.write_text(json.dumps(content), encoding="utf-8")
        np.savez(str(small.path.with_name(ARRAYS)), allow_pickle=False, **arrays)
        if check(small.path)[0] is Answer.VERIFIED:
            verified += 1
            assert_true(pair, content, arrays)
    assert 0 < verified < 120


def sealed(content: dict[str, Any]) -> None:
    """The digest made to fit."""
    kept = {name: part for name, part in content.items() if name not in ("digest", "signature")}
    names = {path.rpartition(".")[2] for path in VOLATILE}
    kept["provenance"] = {k: v for k, v in content["provenance"].items() if k not in names}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    content["digest"] = hashlib.sha256(text.encode()).hexdigest()


def assert_true(pair: Pair, content: Any, arrays: dict[str, np.ndarray]) -> None:
    """Drifts of random members of the regions lie inside the bounds."""
    region = content["claim"]["region"]
    lower, upper = (torch.from_numpy(arrays[region[end]]).double() for end in ("lower", "upper"))
    drift = content["result"]["drift"]
    for row in range(len(lower)):
        share = torch.rand(
            256, lower.shape[1], generator=torch.Generator().manual_seed(row)
        ).double()
        points = lower[row] + share.round(decimals=1) * (upper - lower)[row]
        f, g = (
            graph.values(points)[graph.output.name] for graph in (pair.original, pair.compressed)
        )
        low, high = (torch.tensor(drift[end][row]) for end in ("lower", "upper"))
        assert bool(((low <= g - f) & (g - f <= high)).all())


def zero_beyond(folder: Path) -> tuple[Path, Path]:
    """Two networks of several clips between 1 and 2: at zero, what they make is not zero."""
    tensors = {"low": np.float32(1), "high": np.float32(2), "k": np.float32(1)}
    nodes = [helper.make_node("Clip", ["input", "low", "high"], ["act"]),
             helper.make_node("Mul", ["act", "k"], ["output"])]  # fmt: skip
    files = saved(folder / "f.onnx", nodes, tensors, (3,)), folder / "g.onnx"
    return files[0], saved(files[1], nodes, tensors | {"k": np.float32(1.01)}, (3,))


@pytest.mark.parametrize("place", [3, -1, -4, 10**6])
def test_partners_are_entries(tmp_path: Path, place: int) -> None:
    """None beyond the last one, where a zero is read, and none before the first."""
    pair = lipcert.load_pair(*zero_beyond(tmp_path))
    region = lipcert.Box.around(np.full((1, 3), 1.5), 0.1)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=0, restarts=0))
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    evidence = stored.document.evidence
    ((name, (original, both, _)),) = evidence.partners.items()  # type: ignore[union-attr]
    forged = evidence.model_copy(update={"partners": {name: (original, both, "kept")}})
    for places in ([0, 1, 2], [place] * 3):
        arrays = dict(stored.arrays) | {"kept": np.array(places)}
        resealed(replace(stored, arrays=arrays), evidence=forged)
        assert (check(stored.path)[0] is Answer.VERIFIED) == (places == [0, 1, 2])


def test_walks_of_few_entries_do_not_read_beyond(tmp_path: Path) -> None:
    """Nor does a walk that asks for a part of the partners."""
    f, g = (read(path.read_bytes()) for path in zero_beyond(tmp_path))
    box = np.full((3, 1), 1.4), np.full((3, 1), 1.6)
    line, plane = [(np.ones((3, 1)), np.ones((3, 1)))], [(np.ones((3, 1)), np.ones((3, 1)))] * 2
    for places in ([0, 1, 2], [1, 0, 0], [3, 1, 2], [0, -1, 2]):
        made = Derivation(box, {"f:act": line, "g:act": line, "D:h:act": plane})
        made.enclose("f:", f), made.enclose("g:", g)
        partners = {"act": ("act", True, np.array(places))}
        if {3, -1} & set(places):
            with pytest.raises(ValueError, match="do not fit"):
                made.compare(f, g, partners)
        else:
            made.compare(f, g, partners)


def test_inputs_of_another_shape_refute_nothing(tmp_path: Path) -> None:
    """More of them than there are: what lies beyond the last one would be read as padding."""
    tensors = {"w": np.ones((1, 1, 2, 2), np.float32)}
    files = []
    for k in (1, 2):
        nodes = [helper.make_node("Conv", ["input", "w"], ["output"], pads=[1, 1, 1, 1])]
        files += [saved(tmp_path / f"{k}.onnx", nodes, {"w": k * tensors["w"]}, (1, 2, 2))]
    pair = lipcert.load_pair(*files)
    region = lipcert.Box.around(np.zeros((1, 1, 2, 2)), 1.0)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=1, restarts=1))
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    found = stored.arrays["found"]
    for more in (np.stack([found] * 3, 1), found[:, 0], found.reshape(len(found), -1)):
        resealed(replace(stored, arrays=dict(stored.arrays) | {"found": more}))
        assert check(stored.path)[0] is Answer.NOT_VERIFIED


def test_drifts_were_observed_in_their_own_rows(small: Stored) -> None:
    """One place for all rows is none of most."""
    result = small.document.result
    assert result.observed is not None
    tables = [np.array(side)[:1].repeat(2, 0) for side in result.observed.model_dump().values()]
    lower, upper = (tuple(map(tuple, side.tolist())) for side in tables)
    observed = result.observed.model_copy(update={"lower": lower, "upper": upper})
    kept = tuple(entry for entry in result.counterexamples if entry.row == 0)
    forged = result.model_copy(update={"observed": observed, "counterexamples": kept,
                                       "agreement": None})  # fmt: skip
    places = {name: small.arrays[name][:1] for name in ("lowest", "highest")}
    resealed(replace(small, arrays=dict(small.arrays) | places), result=forged)
    answer, reason = check(small.path)
    assert answer is Answer.NOT_VERIFIED, reason


def test_integers_that_no_float64_holds_are_refused(small: Stored) -> None:
    """As regions they would be rounded, perhaps to others."""
    wide = np.full(small.arrays["region_lower"].shape, 2**60 + 1)
    resealed(replace(small, arrays=dict(small.arrays) | {"region_lower": wide}))
    with pytest.raises(BadFile, match="float64"):
        load(small.path)


@pytest.mark.parametrize("name", ["region_lower", "region_upper"])
def test_regions_have_two_ends_of_one_shape(small: Stored, name: str) -> None:
    for part in (small.arrays[name][:1], small.arrays[name][:, :1], small.arrays[name][0]):
        resealed(replace(small, arrays=dict(small.arrays) | {name: part.copy()}))
        assert check(small.path)[0] is Answer.NOT_VERIFIED


def test_bounds_that_are_one_per_cent_tighter_are_refused(small: Stored, tmp_path: Path) -> None:
    result, copy = small.document.result, replace(small, path=tmp_path / small.path.name)
    resealed(copy, result=tightened(result, 0.99, small.document.claim.threshold))
    assert check(copy.path)[0] is Answer.NOT_VERIFIED
    for name in ("original", "compressed"):
        table = getattr(result, name)
        upper = tuple(tuple(v - 0.01 * abs(v) for v in row) for row in table.upper)
        forged = result.model_copy(update={name: table.model_copy(update={"upper": upper})})
        resealed(copy, result=forged)
        assert check(copy.path)[0] is Answer.NOT_VERIFIED


def test_other_claims_are_refused(small: Stored, tmp_path: Path) -> None:
    document, copy = small.document, replace(small, path=tmp_path / small.path.name)
    labels = document.result.model_copy(update={"agreement": (Verdict.PROVED, Verdict.PROVED)})
    assert document.result.agreement != ("proved", "proved")
    resealed(copy, result=labels)
    assert check(copy.path)[0] is Answer.NOT_VERIFIED
    lower = small.arrays["region_lower"] - 0.05
    width = float((small.arrays["region_upper"].astype(float) - lower.astype(float)).max()) / 2
    region = document.claim.region.model_copy(update={"radius": width})
    wider = replace(copy, arrays=dict(small.arrays) | {"region_lower": lower})
    resealed(wider, claim=document.claim.model_copy(update={"region": region}))
    assert check(copy.path)[0] is Answer.NOT_VERIFIED


def test_another_model_is_refused(small: Stored, tmp_path: Path) -> None:
    other, networks = dense_pair(tmp_path, 4)[1], small.document.provenance.networks
    sha = hashlib.sha256(other.read_bytes()).hexdigest()
    forged = networks.compressed.model_copy(update={"source": str(other), "file_sha256": sha})
    both = networks.model_copy(update={"compressed": forged})
    copy = replace(small, path=tmp_path / small.path.name)
    resealed(copy, provenance=small.document.provenance.model_copy(update={"networks": both}))
    assert check(copy.path)[0] is Answer.NOT_VERIFIED
