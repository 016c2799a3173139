"""Constants that multipliers prove are verified; whatever a forger makes of them is not."""

from dataclasses import dataclass, replace
from pathlib import Path

import checker_pairs
import numpy as np
import pytest
from checker_pairs import conv_pair, dense_pair
from onnx import helper

import lipcert
from lipcert.certificate.disk import load_lipschitz, write_lipschitz
from lipcert.certificate.document import ArrayFacts, digest_of
from lipcert.certificate.lipschitz import Constant, LipschitzDocument
from lipcert.check import Answer, check
from lipcert.check.lipschitz import bounded
from lipcert.check.network import read
from lipcert.check.reader import CannotCheckError
from lipcert.lipschitz import Effort
from lipcert.lipschitz.ascent import Ascent

QUICK = Effort(limit_seconds=2, ascent=Ascent(steps=5, starts=2))
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Saved:
    """Constants of a pair on disk."""

    document: LipschitzDocument
    arrays: Arrays
    place: Path

    def verdict(self) -> Answer:
        return check(self.place)[0]

    def with_constant(self, role: str, **changes: object) -> "Saved":
        """Another constant, and a digest that fits."""
        constants = dict(self.document.constants)
        constants[role] = Constant.model_validate(  # type: ignore[index]
            constants[role].model_dump() | changes  # type: ignore[index]
        )
        return self.with_document({"constants": constants}, self.arrays)

    def with_document(self, changes: dict[str, object], arrays: Arrays) -> "Saved":
        facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
        document = self.document.model_copy(update={**changes, "arrays": facts})
        document = document.model_copy(update={"digest": digest_of(document)})
        write_lipschitz(document, arrays, self.place.parent)
        return replace(self, document=document, arrays=arrays)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    bounds = lipcert.lipschitz(lipcert.load_pair(*dense_pair(tmp_path, 2)), effort=QUICK)
    place = bounds.save(tmp_path / "out")
    found = Saved(*load_lipschitz(place), place)
    assert found.document.constants["original"].method == "LipSDP"
    assert found.verdict() is Answer.VERIFIED
    return found


@pytest.mark.parametrize("seed", range(12))
def test_what_is_proved_is_verified(seed: int, tmp_path: Path) -> None:
    files = (conv_pair if seed % 4 == 3 else dense_pair)(tmp_path, seed)
    kinds = files[:1] if seed % 3 == 1 else files  # staircases have no constant
    network = files[0] if len(kinds) == 1 else lipcert.load_pair(*files)
    place = lipcert.lipschitz(network, effort=QUICK).save(tmp_path / "out")
    answer, reason = check(place)
    assert answer is Answer.VERIFIED, reason
    document, arrays = load_lipschitz(place)
    found = Saved(document, arrays, place)
    for role, constant in document.constants.items():
        if constant.method == "LipSDP":
            assert constant.upper is not None
            less = constant.upper * 0.99
            seen = min(constant.observed, less)
            changes = {"upper": less, "upper_per_region": (less,), "observed": seen}
            forged = found.with_constant(role, **changes, observed_per_region=(seen,))
            gap = constant.gap_to_relaxation
            if gap is not None and gap < 0.005:  # at the optimum nothing less can be proved
                assert forged.verdict() is Answer.NOT_VERIFIED


def test_half_of_a_constant_does_not_follow(saved: Saved) -> None:
    for role, constant in saved.document.constants.items():
        assert constant.upper is not None
        less = constant.upper / 2
        changes = {"upper": less, "upper_per_region": (less,)}
        seen = {"observed": 0.0, "observed_per_region": (0.0,)}
        assert saved.with_constant(role, **changes, **seen).verdict() is Answer.NOT_VERIFIED


def test_other_multipliers_do_not_prove(saved: Saved) -> None:
    chance = np.random.default_rng(0)
    (first, *_) = saved.document.constants["original"].multipliers
    weights = saved.arrays[first.weights]
    for other in (0 * weights, -weights, weights[::-1] * 3, weights * 1e3, weights[:-1]):
        changed = saved.with_document({}, {**saved.arrays, first.weights: other.copy()})
        assert changed.verdict() is not Answer.VERIFIED
    kept = saved.arrays[first.neurons]
    for places in (kept + 1, kept[::-1].copy(), kept * 0, kept - 1):
        changed = saved.with_document({}, {**saved.arrays, first.neurons: places})
        assert changed.verdict() is not Answer.VERIFIED
    for _ in range(20):  # at the edge of what is proved, a random change of a tenth breaks it
        other = weights * chance.uniform(0.8, 1.25, weights.shape)
        changed = saved.with_document({}, {**saved.arrays, first.weights: other})
        assert changed.verdict() is not Answer.VERIFIED


def test_a_neuron_without_multiplier_must_not_matter(saved: Saved) -> None:
    (first, *_) = saved.document.constants["original"].multipliers
    fewer = {name: saved.arrays[name][1:] for name in (first.neurons, first.weights)}
    assert saved.with_document({}, {**saved.arrays, **fewer}).verdict() is Answer.NOT_VERIFIED


def test_what_was_seen_is_replayed(saved: Saved) -> None:
    constant = saved.document.constants["original"]
    assert constant.upper is not None
    more = (constant.observed + constant.upper) / 2
    changed = saved.with_constant("original", observed=more, observed_per_region=(more,))
    assert changed.verdict() is Answer.NOT_VERIFIED


def test_other_files_are_refused(saved: Saved) -> None:
    source = Path(saved.document.provenance.networks["original"].source)
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    source.write_bytes(content)
    assert saved.verdict() is Answer.NOT_VERIFIED


def test_what_it_does_not_know_it_says(tmp_path: Path) -> None:
    file = dense_pair(tmp_path, 0)[0]
    for norm in (1, "inf"):
        place = lipcert.lipschitz(file, norm=norm, effort=QUICK).save(tmp_path / str(norm))
        assert check(place)[0] is Answer.CANNOT_CHECK
    region = lipcert.Ball.around(np.zeros((1, 4)), 0.1)
    place = lipcert.lipschitz(file, region=region, effort=QUICK).save(tmp_path / "local")
    assert check(place)[0] is Answer.CANNOT_CHECK


@pytest.mark.parametrize("slope", [-2.0, 0.0, 0.3, 3.0])
def test_slopes_outside_zero_and_one_are_refused(slope: float, tmp_path: Path) -> None:
    """Multipliers that would prove 1.01 of a slope of 3, were it between 0 and 1."""
    node = helper.make_node("LeakyRelu", ["input"], ["act"], alpha=slope)
    last = helper.make_node("Gemm", ["act", "w"], ["output"])
    one = {"w": np.eye(1, dtype=np.float32)}
    steps = read(checker_pairs.saved(tmp_path / "f.onnx", [node, last], one, (1,)).read_bytes())
    weights = {"act": (np.zeros(1, int), np.full(1, 2.0))}
    if 0 <= slope <= 1:
        assert bounded([steps], [weights], 1.01)
        assert not bounded([steps], [weights], 0.99)
    else:
        with pytest.raises(CannotCheckError):
            bounded([steps], [weights], 1.01)
