"""The documentation names everything that is public, and says what the project's files say."""

import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PUBLIC = ("lipcert", "lipcert.certificate", "lipcert.check", "solvers")


def told() -> set[str]:
    """Every object that the reference describes; of a module everything in it."""
    names = set[str]()
    for page in sorted((DOCS / "reference").glob("*.md")):
        for path in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, name = path.rpartition(".")
            try:
                names |= set(vars(import_module(path)))
            except ModuleNotFoundError:
                assert hasattr(import_module(module), name), path
                names.add(name)
    return names


@pytest.mark.parametrize("package", PUBLIC)
def test_the_reference_describes_what_is_public(package: str) -> None:
    assert set(import_module(package).__all__) <= told()


def test_every_block_of_the_pages_is_run() -> None:
    """Languages that `docs/conftest.py` does not run would be a way around the tests."""
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        kinds = re.findall(r"^```(.*)\n", text, re.MULTILINE)[::2]
        assert set(kinds) <= {"sh", "python"}, (page, kinds)
        assert "skip:" not in text, page
