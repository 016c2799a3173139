"""The checker beside the methods, on random networks: agreement, truth, and what it cannot tell."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checker_forgery import resealed, tightened
from checker_pairs import WIDTHS, conv_pair, dense_pair
from hypothesis import given, settings
from hypothesis import strategies as st

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.certificate.result import Result
from lipcert.certificate.verdict import Verdict
from lipcert.check import UNCHECKED, Answer, check
from lipcert.methods.base import Method
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.sets.region import Region

METHODS: tuple[Method, ...] = (TwinBounds(), Crown(), IntervalArithmetic())
NO_ATTACK = DriftAttack(steps=0, restarts=0)


def region_of(kind: int, inputs: np.ndarray, eps: float) -> Region:
    if kind == 0:
        return lipcert.Box.around(inputs, eps)
    if kind == 1:
        return lipcert.Ball.around(inputs, 2 * eps, clip=(-2.5, 2.5) if eps < 0.05 else None)
    step = 2.0**-6
    return lipcert.Grid.around(np.round(inputs / step) * step, max(eps, step), step=step)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**20), st.integers(0, 2), st.sampled_from([0.0, 0.01, 0.1]))
def test_the_checker_derives_what_the_methods_prove(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: int, eps: float
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    conv = seed % 5 == 0
    files = (conv_pair if conv else dense_pair)(folder, seed)
    shape = (1, 2, 4, 4) if conv else (1, WIDTHS[0])
    inputs = np.random.default_rng(seed + 1).normal(size=shape).clip(-2.5, 2.5)
    pair = lipcert.load_pair(*files)
    region, method = region_of(kind, inputs, eps), METHODS[seed % 7 % 3]
    made = lipcert.certify(pair, region, method, attack=NO_ATTACK)
    stored = load(made.save(folder / "out"))
    found = check(stored.path)
    assert found[0] is Answer.VERIFIED, found
    told = stored.document.result
    for name in ("drift", "original", "compressed"):
        claimed, proved = np.array(getattr(told, name).upper), getattr(made, name).upper.numpy()
        slack = 0.05 * (np.abs(getattr(told, name).lower).max() + np.abs(claimed).max())
        assert (claimed <= proved + slack).all(), f"{name}: the evidence loses what was proved"
    if not isinstance(method, IntervalArithmetic):
        assert made.agreement == told.agreement
        if made.drift.magnitude().max() < 1e-12 * made.original.magnitude().max():
            return  # both compute the same: what is claimed is the rounding of an evaluation
        resealed(stored, result=tightened(told, 0.99, None))
        assert check(stored.path)[0] is Answer.NOT_VERIFIED


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("small")
    pair = lipcert.load_pair(*dense_pair(folder, 1))
    region = lipcert.Box.around(np.zeros((1, WIDTHS[0])), 0.05)
    return load(lipcert.certify(pair, region, attack=NO_ATTACK).save(folder / "out"))


CHECKED = {"status", "output_shape", "drift", "original", "compressed", "max_drift", "observed",
           "agreement", "counterexamples", "drift_norm", "coverage"}  # fmt: skip


def test_every_field_of_a_result_is_checked_or_said_not_to_be() -> None:
    trusted = {name for name in Result.model_fields if f"result.{name}" in UNCHECKED.split(", ")}
    assert trusted | CHECKED == set(Result.model_fields)
    assert trusted.isdisjoint(CHECKED)


def test_what_it_cannot_check_it_says(small: Stored, tmp_path: Path) -> None:
    missing = check(small.path, (tmp_path / "f.onnx", tmp_path / "g.onnx"))
    assert missing[0] is Answer.CANNOT_CHECK
    region = lipcert.Box.around(np.zeros((1, WIDTHS[0])), 0.01)
    module = torch.nn.Linear(WIDTHS[0], 2)
    pair = lipcert.load_pair(module, module, (WIDTHS[0],))
    answer, reason = check(lipcert.certify(pair, region, attack=NO_ATTACK).save(tmp_path / "e"))
    assert (answer, "no ONNX files" in reason) == (Answer.CANNOT_CHECK, True)
    assert check(tmp_path / "nothing")[0] is Answer.NOT_VERIFIED


def test_a_limit_that_only_the_method_proves_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    log = logging.getLogger("lipcert.archive.evidence")
    monkeypatch.setattr(log, "warning", lambda words, *facts: told.append(words % facts))
    region = lipcert.Box.around(np.zeros((1, WIDTHS[0])), 0.1)
    made = lipcert.certify(lipcert.load_pair(*dense_pair(tmp_path, 2)), region, attack=NO_ATTACK)
    proved = float(made.max_drift)
    for limit, known in ((2 * proved, Verdict.PROVED), (proved, Verdict.UNKNOWN)):
        assert made.verdict(limit) is Verdict.PROVED
        assert load(made.save(tmp_path / "out", limit)).document.result.status is known
        assert len(told) == (known is Verdict.UNKNOWN)
    assert "open" in told[0]


def test_a_signature_that_is_wanted_has_to_be_there(small: Stored) -> None:
    assert check(small.path, key="00" * 32)[0] is Answer.NOT_VERIFIED


def test_the_checker_needs_no_torch(small: Stored) -> None:
    run = "runpy.run_module('lipcert.check', None, '__main__')"
    words = [sys.executable, "-c", f"import runpy, sys; sys.modules['torch'] = None; {run}"]
    words.append(str(small.path))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:9]) == (0, "verified:"), done.stderr
