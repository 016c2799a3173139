import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.stats import binomtest

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, lipschitz, load
from lipcert.certificate.coverage import coverage
from lipcert.certificate.disk import ARRAYS, FACTS, write
from lipcert.certificate.document import SCHEMA, VOLATILE, canonical, schema
from lipcert.certificate.signature import signed, verifies
from lipcert.errors import BadFile
from lipcert.methods.interval import IntervalArithmetic
from lipcert.sets.region import Region

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
INPUTS = np.load(DIGITS / "inputs.npz")["x"][:2]
BOX = lipcert.Box.around(INPUTS, 0.01, (0.0, 1.0))


def result(region: Region = BOX) -> lipcert.Certificate:
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.int8.onnx")
    attack = DriftAttack(steps=2, restarts=1)
    return lipcert.certify(pair, region, IntervalArithmetic(), attack=attack)


@pytest.fixture(scope="module")
def made() -> lipcert.Certificate:
    return result()


@pytest.fixture
def stored(made: lipcert.Certificate, tmp_path: Path) -> Stored:
    return load(made.save(tmp_path / "out", 0.01))


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "write document.schema() to schema.json"
    published = lipschitz.SCHEMA.read_text(encoding="utf-8")
    assert published == schema(lipschitz.LipschitzDocument), "write it to lipschitz.schema.json"


def test_what_is_saved_is_what_was_found(made: lipcert.Certificate, stored: Stored) -> None:
    found, told = made.observed, stored.document.result
    assert found is not None
    claimed = torch.tensor(told.drift.upper, dtype=torch.float64)
    excess = claimed - made.drift.upper  # for the rounding of another machine
    assert bool(((excess >= 0) & (excess <= 1e-6 * claimed.abs())).all())
    inputs = stored.arrays["found"]
    assert np.array_equal(inputs[stored.arrays["lowest"]], found.lowest.numpy())
    assert np.array_equal(inputs[stored.arrays["highest"]], found.highest.numpy())
    network = stored.document.provenance.networks.compressed
    assert network.quantisation
    assert (network.operators["Conv"], network.opset) == (3, {"ai.onnx": 17})


def test_counterexamples_are_what_the_runtime_returned(stored: Stored) -> None:
    told = stored.document.result
    assert told.status == "refuted"
    assert [entry.row for entry in told.counterexamples] == [0, 1]
    for entry in told.counterexamples:
        assert entry.output is not None
        shown = stored.arrays["found"][entry.input]
        assert shown.shape == INPUTS.shape[1:]


def test_equal_runs_differ_in_volatile_fields_only(stored: Stored, tmp_path: Path) -> None:
    again = load(result().save(tmp_path / "again", 0.01)).document
    assert again.digest == stored.document.digest
    assert again.provenance.seconds != stored.document.provenance.seconds
    without = (*VOLATILE, "signature")
    assert canonical(again, without) == canonical(stored.document, without)


@pytest.mark.parametrize(
    "region",
    [
        lipcert.Ball.around(INPUTS, 0.01, (0.0, 1.0)),
        lipcert.Grid.around(INPUTS, 1 / 16, (0.0, 1.0), step=1 / 16),
    ],
)
def test_every_region_is_stored(region: Region, tmp_path: Path) -> None:
    stored = load(replace(result(region), observed=None).save(tmp_path))
    assert stored.document.claim.region.kind in type(region).__name__.lower()
    assert stored.document.claim.region.batch == 2
    assert "found" not in stored.arrays


def test_a_bound_that_is_not_there_is_null(made: lipcert.Certificate, tmp_path: Path) -> None:
    box = made.drift
    nothing = type(box)(torch.full_like(box.lower, -torch.inf), box.upper)
    told = load(replace(made, drift=nothing).save(tmp_path)).document.result
    assert told.drift.lower[0][0] is None
    assert (told.max_drift[0], told.status) == (None, "unknown")


def resealed(content: dict[str, Any], place: tuple[str | int, ...], value: object) -> None:
    """A field of the result changed, the digest made to fit."""
    part = content["result"]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    kept = {name: part for name, part in content.items() if name not in ("digest", "signature")}
    volatile = {path.rpartition(".")[2] for path in VOLATILE}
    kept["provenance"] = {k: v for k, v in kept["provenance"].items() if k not in volatile}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    content["digest"] = hashlib.sha256(text.encode()).hexdigest()


CHANGES = {
    "number": lambda d: d["result"]["drift"]["upper"][0].__setitem__(0, 0.5),
    "verdict": lambda d: d["result"].__setitem__("status", "proved"),
    "missing": lambda d: d["result"].pop("status"),
    "unknown": lambda d: d["claim"].__setitem__("note", "trust me"),
    "infinite": lambda d: d["claim"].__setitem__("threshold", float("inf")),
    "type": lambda d: d["claim"].__setitem__("threshold", "0.1"),
    "format": lambda d: d.__setitem__("format", "lipcert-certificate-0.1"),
    "labels": lambda d: resealed(d, ("counterexamples", 0, "output"), None),
    "counts": lambda d: resealed(d, ("coverage", 0, "successes"), 1),
    "trials": lambda d: resealed(d, ("coverage", 1, "trials"), 3),
    "interval": lambda d: resealed(d, ("coverage", 1, "lower"), 0.5),
    "hash": lambda d: d["provenance"].__setitem__("inputs_sha256", "0" * 64),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_facts_are_refused(name: str, stored: Stored) -> None:
    facts = json.loads(stored.path.read_text(encoding="utf-8"))
    CHANGES[name](facts)
    stored.path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(BadFile, match=FACTS) as refusal:
        load(stored.path)
    if name in ("labels", "counts", "trials", "interval"):
        assert "digest" not in str(refusal.value)


def test_layout_and_volatile_fields_are_harmless(stored: Stored) -> None:
    facts = json.loads(stored.path.read_text(encoding="utf-8"))
    facts["provenance"]["seconds"]["bounds"] = 1e9
    facts["provenance"]["time"] = "2001-01-01T00:00:00Z"
    facts["provenance"]["threads"] = 7
    stored.path.write_text(json.dumps(dict(reversed(facts.items()))), encoding="utf-8")
    assert load(stored.path).document.digest == stored.document.digest


@pytest.mark.parametrize("change", ["entry", "gone", "extra", "truncated", "pickle"])
def test_changed_arrays_are_refused(change: str, stored: Stored) -> None:
    arrays = dict(stored.arrays)
    if change == "entry":
        arrays["found"] = np.nextafter(arrays["found"], 1)
    if change == "gone":
        del arrays["lowest"]
    if change == "extra":
        arrays["more"] = np.zeros(2)
    if change == "pickle":
        arrays["found"] = np.array([{}], dtype=object)
    path = stored.path.with_name(ARRAYS)
    np.savez(str(path), **arrays)
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFile):
        load(stored.path.parent)


def test_missing_files_are_refused(stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        load(tmp_path / "nothing")
    stored.path.with_name(ARRAYS).unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        load(stored.path)


def test_a_signature_covers_volatile_fields_too(stored: Stored, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(pem)
    document = signed(stored.document, tmp_path / "key.pem")
    assert document.signature is not None
    assert document.signature.public_key == key.public_key().public_bytes_raw().hex()
    assert verifies(load(write(document, stored.arrays, tmp_path / "signed")).document)
    later = document.provenance.model_copy(update={"time": "2030-01-01T00:00:00Z"})
    assert not verifies(document.model_copy(update={"provenance": later}))
    other = document.signature.model_copy(update={"value": "00" * 64})
    assert not verifies(document.model_copy(update={"signature": other}))
    with pytest.raises(BadFile, match="not a private key"):
        signed(stored.document, stored.path)


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (3, 7), (89, 100), (1, 9999)])
def test_coverage_is_the_exact_interval(successes: int, trials: int) -> None:
    told = coverage("same label", successes, trials)
    exact = binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert (told.lower, told.upper) == pytest.approx((exact.low, exact.high), abs=1e-12)
