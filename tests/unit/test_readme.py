import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lipcert import Certificate
from lipcert.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HELP = {"--help", "--version"}


def test_the_snippet_runs_on_the_shipped_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    folder = shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    result = names["result"]
    assert isinstance(result, Certificate)
    assert result.agreement is not None
    assert set(result.agreement) <= {"proved", "refuted", "unknown"}
    assert bool((result.drift.lower <= result.drift.upper).all())
    assert {path.name for path in (folder / "out").iterdir()} == {"certificate.json", "arrays.npz"}


def numbers(text: str) -> list[float]:
    return [float(word) for word in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]


def test_the_output_shown_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proved columns, networks and verdicts; what was seen depends on the machine a little."""
    (block,) = re.findall(r"```console\n\$ (.*?)```", README, re.DOTALL)
    command, _, shown = block.partition("\n")
    monkeypatch.chdir(ROOT / "examples" / "digits")
    done = CliRunner().invoke(app, command.split()[1:], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    told = [line.split() for line in done.stdout.splitlines() if line.strip()]
    wanted = [line.split() for line in shown.splitlines() if line.strip()]
    assert [words[:1] for words in told] == [words[:1] for words in wanted]
    assert told[:2] == wanted[:2]
    for line, words in zip(told, wanted, strict=True):
        if re.fullmatch(r"\d+", words[0]):  # output and both bounds, or input and its bound
            count = 3 if len(words) == 6 else 2
            assert numbers(" ".join(line[1:count])) == pytest.approx(
                numbers(" ".join(words[1:count])), rel=2e-3
            )
            assert line[-1] == words[-1] or len(words) == 6


def test_options_are_those_of_the_command() -> None:
    shown = CliRunner().invoke(app, ["certify", "--help"], env={"COLUMNS": "200"}).stdout
    offered = set(re.findall(r"--[a-z][a-z-]*", shown))
    section = README.partition("## Command line")[2].partition("## Regions")[0]
    assert set(re.findall(r"--[a-z][a-z-]*", section)) == offered - HELP


def test_places_named_are_there() -> None:
    table = README.partition("## Development")[2]
    for name in re.findall(r"`((?:lipcert|solvers|examples)/[a-z/_.]*)`", table):
        assert (ROOT / name).exists(), name


def test_commands_named_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z]+)(?= +#)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def runs_of_bench() -> list[tuple[str, set[str]]]:
    """The benchmarks that `make bench` runs, and their flags."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    recipe = makefile.partition("\nbench:")[2].partition("\n\n")[0]
    runs = re.findall(r"-m benchmarks\.(\w+)(.*?)--json", recipe)
    return [(name, set(re.findall(r"--\w+", flags))) for name, flags in runs]


def test_one_command_makes_every_table() -> None:
    runs = runs_of_bench()
    scripts = (ROOT / "benchmarks").glob("*.py")
    mains = {path.stem for path in scripts if "__main__" in path.read_text(encoding="utf-8")}
    assert {name for name, _ in runs} == mains
    told = README + (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    for name, flags in re.findall(r"benchmarks\.([a-z_]+)((?: --[a-z]+)*)`?", told):
        wanted = set(flags.split())
        assert any(name == made and wanted <= given for made, given in runs), (name, flags)
