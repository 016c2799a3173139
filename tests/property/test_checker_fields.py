"""Field by field: what changes unseen is what the checker says that it takes on trust."""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checker_pairs import WIDTHS, dense_pair
from test_checker_forged import Place, changed, leaves, sealed

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.check import UNCHECKED, Answer, check
from lipcert.methods.sdp import DriftSdp
from lipcert.methods.twin import TwinBounds

WORDS = ("real", "float32", "proved", "unknown", "refuted", "label", "drift", "f" * 64, "more")
TRUSTED = [name for name in UNCHECKED.split(", ") if name.startswith("result.")]
TRUSTED += ["assumptions", "limits", "provenance"]


@pytest.fixture(scope="module", params=["twin", "sdp"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Certificates with everything in them: a limit that is refuted, labels, a budget, norms."""
    folder = tmp_path_factory.mktemp("full")
    pair = lipcert.load_pair(*dense_pair(folder, 1))
    inputs = np.random.default_rng(3).normal(size=(2, WIDTHS[0]))
    attack = DriftAttack(steps=3, restarts=1)
    if request.param == "sdp":
        ball = lipcert.Ball.around(inputs, 0.1)
        made = lipcert.certify(pair, ball, DriftSdp(limit_seconds=2.0), attack=attack)
    else:
        radius = np.array([[0.05], [0.8]])
        box = lipcert.Box.between(inputs - radius, inputs + radius)
        made = lipcert.certify(pair, box, TwinBounds(budget=True), attack=attack)
    stored = load(made.save(folder / "out", 0.01))
    assert check(stored.path)[0] is Answer.VERIFIED
    return stored


def name_of(leaf: Place) -> str:
    """A field's name; entries of tables and dictionaries are one field."""
    name = ".".join(key for key in leaf if isinstance(key, str))
    name = re.sub(r"^(evidence\.(?:slopes|partners|multipliers\.products))\..*", r"\1", name)
    return re.sub(r"^(provenance\.\w+)\..*(?<!_sha256)(?<!source)$", r"\1", name)


def trusted(name: str) -> bool:
    """Whether the checker says so; it needs files where it is not told of others."""
    if name.endswith((".file_sha256", ".source")):
        return False
    return any(name == known or name.startswith(f"{known}.") for known in TRUSTED)


def others(value: object, chance: random.Random) -> Iterator[object]:
    """Values of the same kind, and some of a kind that a schema may know."""
    if isinstance(value, str):
        yield from WORDS
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (value + 1, value - 1, 0.99 * value - 1e-6, 1.01 * value + 1e-6)
    yield changed(value, chance)


def at(content: Any, leaf: Place) -> Any:
    """What stands at a place."""
    for key in leaf:
        content = content[key]
    return content


def answers(stored: Stored, leaf: Place, chance: random.Random) -> Iterator[Answer]:
    """Of the checker, to every other value of one field with a digest that fits."""
    honest = stored.path.read_text(encoding="utf-8")
    value = at(json.loads(honest), leaf)
    for other in others(value, chance):
        if other == value:
            continue
        content = json.loads(honest)
        at(content, leaf[:-1])[leaf[-1]] = other
        sealed(content)
        stored.path.write_text(json.dumps(content), encoding="utf-8")
        yield check(stored.path)[0]
    stored.path.write_text(honest, encoding="utf-8")


def test_harmless_fields_are_those_that_are_named(full: Stored) -> None:
    """Nothing else is harmless, and nothing that is named is held against anything."""
    chance, fields = random.Random(2), defaultdict[str, list[Place]](list)
    honest = json.loads(full.path.read_bytes())
    for leaf in leaves(honest):
        if leaf[0] not in ("digest", "signature", "arrays"):  # hashes, made to fit
            fields[name_of(leaf)].append(leaf)
    for name, places in fields.items():
        leaf = chance.choice(places)
        told = list(answers(full, leaf, chance))
        if not trusted(name):
            assert set(told) != {Answer.VERIFIED}, f"{name} is not checked, and not named"
        elif at(honest, leaf) is not None:
            assert Answer.VERIFIED in told, f"{name} is named, and yet checked"
    assert check(full.path)[0] is Answer.VERIFIED
