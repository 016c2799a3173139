"""The examples of solvers/README.md run, one after the other, and say what they claim."""

import re
from pathlib import Path

import numpy as np

from solvers import Bracket
from solvers.backends import scan

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "solvers" / "README.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for number, code in enumerate(blocks):
        exec(compile(code, f"solvers/README.md, example {number}", "exec"), names)
        if number == 0:
            proved = names["proved"]
            assert isinstance(proved, Bracket)
            assert proved.lower <= np.sqrt(2) - 2 + 1e-15
            assert np.sqrt(2) - 2 - 1e-15 <= proved.upper
            assert proved.gap < 1e-6


def test_every_backend_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert set(listed) == set(scan())
    for name, kind in scan().items():
        assert name in TEXT
        assert kind.package is None or f"`{kind.install}`" in TEXT
