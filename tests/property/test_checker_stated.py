"""What a certificate's JSON says of regions, or says twice, and files that unpack to too much."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checker_forgery import resealed
from checker_pairs import dense_pair

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, disk, load
from lipcert.check import Answer, check
from lipcert.errors import BadFile
from lipcert.sets.region import Region

ATTACK = DriftAttack(steps=0, restarts=0)


def stored(folder: Path, region: Region) -> Stored:
    """A certificate that is verified."""
    pair = lipcert.load_pair(*dense_pair(folder, 0))
    made = load(lipcert.certify(pair, region, attack=ATTACK).save(folder / "out", 1e9))
    assert check(made.path)[0] is Answer.VERIFIED
    return made


@pytest.mark.parametrize("kind", ["box", "grid"])
def test_far_regions_are_not_called_wide(tmp_path: Path, kind: str) -> None:
    """One input is fixed far away, so that rounding there exceeds the radius that is stated."""
    point = np.array([[2.0**50, 1.0, 2.0, 3.0]])
    region = lipcert.Box.around(point, 0.0) if kind == "box" else lipcert.Grid.around(point, 0.0)
    made = stored(tmp_path, region)
    for radius in (1e-3, 0.12):
        wide = made.document.claim.region.model_copy(update={"radius": radius})
        resealed(made, claim=made.document.claim.model_copy(update={"region": wide}))
        assert check(made.path)[0] is Answer.NOT_VERIFIED


def test_ends_of_grids_are_members(tmp_path: Path) -> None:
    """Between these there is one whole number, which has no radius."""
    made = stored(tmp_path, lipcert.Grid.around(np.ones((1, 4)), 1.0))
    ends = {"region_first": np.full((1, 4), 0.25), "region_last": np.full((1, 4), 1.75)}
    region = made.document.claim.region.model_copy(update={"radius": 0.75})
    claim = made.document.claim.model_copy(update={"region": region})
    result = made.document.result.model_copy(
        update={"observed": None, "agreement": None, "counterexamples": (), "coverage": ()}
    )
    resealed(replace(made, arrays=dict(made.arrays) | ends), claim=claim, result=result)
    assert check(made.path)[0] is Answer.NOT_VERIFIED


def test_names_are_given_once(tmp_path: Path) -> None:
    """Of two values some readers take the first one, the digest covers the last."""
    made = stored(tmp_path, lipcert.Box.around(np.ones((1, 4)), 0.1))
    text = made.path.read_text(encoding="utf-8")
    twice = text.replace('"threshold"', '"threshold": 0.0, "threshold"')
    made.path.write_text(twice, encoding="utf-8")
    assert check(made.path)[0] is Answer.NOT_VERIFIED
    with pytest.raises(BadFile, match="twice"):
        load(made.path)


def test_archives_that_unpack_to_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stored(tmp_path, lipcert.Box.around(np.ones((1, 4)), 0.1))
    with zipfile.ZipFile(made.path.with_name(disk.ARRAYS)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    monkeypatch.setattr(disk, "UNPACKED", size)
    load(made.path)
    monkeypatch.setattr(disk, "UNPACKED", size - 1)
    with pytest.raises(BadFile, match="unpacked"):
        load(made.path)
