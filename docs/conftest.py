"""Runs every code block of the site, page by page, in a copy of the shipped example."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).resolve().parents[1]
BESIDE_PYTHON = str(Path(sys.executable).parent)  # where the installed commands are


def run(example: Example) -> None:
    """Run shell commands; each must succeed."""
    path = os.pathsep.join([BESIDE_PYTHON, os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        check=False,  # what it printed is worth more than a status alone
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module", autouse=True)
def digits(tmp_path_factory: pytest.TempPathFactory):
    """The folder that the pages' commands are run in."""
    folder = tmp_path_factory.mktemp("docs") / "digits"
    shutil.copytree(ROOT / "examples" / "digits", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="sh", evaluator=run)],
    patterns=["*.md"],
    fixtures=["digits"],
).pytest()
