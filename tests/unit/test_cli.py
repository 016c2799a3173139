import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from onnx import helper
from typer.testing import CliRunner, Result

from lipcert.certificate.certificate import Verdict
from lipcert.certificate.disk import load, load_lipschitz
from lipcert.cli import app
from lipcert.methods.base import Method
from lipcert.options import METHODS
from lipcert.report.number import above

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
PAIR = (str(DIGITS / "model.onnx"), str(DIGITS / "model.int8.onnx"))
ROWS = 2


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Two of the shipped inputs."""
    path = tmp_path / "x.npy"
    with np.load(DIGITS / "inputs.npz") as stored:
        np.save(path, stored["x"][:ROWS])
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def certified(*words: object) -> Result:
    """The shipped pair at interval arithmetic's speed."""
    return run("certify", *PAIR, "--method", "interval", "--threads", 1, *words)


def around(inputs: Path, *words: object) -> Result:
    return certified("--inputs", inputs, "--eps", 0.001, "--clip", 0, 1, *words)


def test_result_goes_to_stdout_and_nothing_else(inputs: Path) -> None:
    result = around(inputs)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "bounding" not in result.stdout
    assert "attack: search" not in result.stdout
    last = result.stdout.rstrip().splitlines()[-1]
    assert last.startswith("PROVED (interval arithmetic, real arithmetic): over 2 boxes of radius")
    assert "no output drifts by more than" in last


def test_json_is_the_certificate_and_a_verdict(inputs: Path, tmp_path: Path) -> None:
    result = around(inputs, "--json", "--max-drift", 100, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    verdict = told.pop("verdict")
    assert told == json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert (verdict["status"], verdict["max_drift"]) == ("proved", 100)
    assert verdict["sentence"].startswith("PROVED")
    with np.load(tmp_path / "out" / "arrays.npz") as arrays:
        assert set(arrays.files) == set(told["arrays"])
    assert "certificate.json" in result.stderr


def test_out_says_where_the_result_lies(inputs: Path, tmp_path: Path) -> None:
    result = around(inputs, "--out", tmp_path / "deep" / "out")
    assert result.exit_code == 0
    assert str(tmp_path / "deep" / "out" / "certificate.json") in result.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("allowed", "status", "verdict"),
    [(100.0, 0, "PROVED"), ("1/1000", 1, "REFUTED"), (1.0, 1, "UNKNOWN")],
)
def test_exit_status_of_an_allowed_drift(
    inputs: Path, allowed: float, status: int, verdict: str
) -> None:
    result = around(inputs, "--max-drift", allowed)
    assert result.exit_code == status
    assert result.stdout.rstrip().splitlines()[-1].startswith(verdict)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--norm", "2"), "2 l2 balls of radius 0.0625"),
        (("--grid", "1/16"), "2 grids of radius 0.0625 and step 0.0625"),
    ],
)
def test_other_regions(inputs: Path, words: tuple[str, ...], kind: str) -> None:
    result = certified("--inputs", inputs, "--eps", "1/16", "--clip", -1, 2, *words)
    assert result.exit_code == 0, result.output
    assert kind in result.stdout


def test_a_box_between_numbers_and_files(inputs: Path) -> None:
    whole = certified("--box", 0, 1)
    assert "1 box of radius 0.5" in whole.stdout, whole.output
    above = certified("--box", inputs, 1)
    assert "2 boxes of radius 0.5" in above.stdout, above.output


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_found_and_can_be_named(inputs: Path, method: str) -> None:
    assert issubclass(METHODS[method], Method)
    words = ("--inputs", inputs, "--eps", 0, "--json", "--method", method)
    result = run("certify", *PAIR, "--threads", 1, *words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["result"]["method"] == METHODS[method].__name__


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--eps", 0.1),
        ("--inputs", "x.npy"),
        ("--inputs", "x.npy", "--eps", "a lot"),
        ("--inputs", "x.npy", "--eps", "1/0"),
        ("--inputs", "x.npy", "--eps", "0.1/y"),
        ("--box", 0, 1, "--eps", 0.1),
        ("--box", 0, 1, "--norm", 2),
        ("--inputs", "x.npy", "--eps", 0.1, "--norm", 2, "--grid", 1),
        ("--box", 0, 1, "--method", "guess"),
        ("--box", 0, 1, "--max-drift", -1),
        ("--box", 0, 1, "--max-drift", "nan"),
        ("--box", 0, 1, "--dtype", "float16"),
        ("--box", 0, 1, "--memory", 0),
        ("--box", 0),
    ],
)
def test_bad_usage_is_status_two(words: tuple[object, ...]) -> None:
    result = run("certify", *PAIR, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr
    assert "Traceback" not in result.stderr


def refused(result: Result, *parts: str) -> None:
    """One line on stderr and status 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("error: ")
    for part in parts:
        assert part in result.stderr


def saved(tmp_path: Path, rows: np.ndarray) -> Path:
    np.save(tmp_path / "bad.npy", rows)
    return tmp_path / "bad.npy"


def test_inputs_of_the_wrong_shape(tmp_path: Path) -> None:
    refused(around(saved(tmp_path, np.zeros((2, 64)))), "(64,)", "(1, 8, 8)")


def test_a_row_with_nan_is_named(tmp_path: Path) -> None:
    rows = np.zeros((3, 1, 8, 8))
    rows[1, 0, 2, 2] = np.nan
    refused(around(saved(tmp_path, rows)), "row 1", "NaN")


def test_a_row_out_of_range_is_named(tmp_path: Path) -> None:
    rows = np.zeros((3, 1, 8, 8))
    rows[2] = 1.5
    refused(around(saved(tmp_path, rows)), "row 2", "[0.0, 1.0]")


def test_missing_files(tmp_path: Path) -> None:
    absent = tmp_path / "absent.onnx"
    refused(run("certify", absent, PAIR[1], "--box", 0, 1), "absent.onnx")
    refused(around(tmp_path / "absent.npy"), "absent.npy")
    refused(run("show", absent), "absent.onnx")


def test_a_place_where_nothing_can_be_saved(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(around(inputs, "--out", tmp_path / "file"), "file")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_an_absent_device(inputs: Path) -> None:
    refused(around(inputs, "--device", "cuda"), "no CUDA device")


def test_operations_without_a_rule_are_all_listed(onnx_file, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["a"], name="first"),
        helper.make_node("Cos", ["a"], ["y"], name="second"),
    ]
    path = onnx_file(nodes, {}, ["batch", 4])
    result = run("certify", path, path, "--box", 0, 1)
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in ("error: ", "Sin 'first'", "Cos 'second'"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


def test_different_outputs_are_a_mismatch(onnx_file) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    path = onnx_file(nodes, {}, ["batch", 1, 8, 8])
    refused(run("certify", PAIR[0], path, "--box", 0, 1), "(10,)", "(1, 8, 8)")


def test_a_runtime_beyond_the_bound_is_a_warning(onnx_file, tmp_path: Path) -> None:
    weight = {"w": np.full((3, 1), 0.1, np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="sum")]
    one = onnx_file(nodes, weight, ["batch", 3], name="one.onnx")
    order = {"w": np.full((3, 1), 0.1, np.float32), "big": np.float32(1e6)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "big"], ["b"]),
        helper.make_node("Sub", ["b", "big"], ["y"]),
    ]
    two = onnx_file(nodes, order, ["batch", 3], name="two.onnx")
    np.save(tmp_path / "x.npy", np.full((1, 3), 0.123))
    words = ("--inputs", tmp_path / "x.npy", "--eps", 0, "--json")
    result = run("certify", one, two, *words)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("warning: on 1 input the drift that the runtime computes")
    assert "not part of semantics 'real'" in result.stderr
    assert json.loads(result.stdout)["verdict"]["warnings"]


def test_show_prints_layers_and_totals() -> None:
    result = run("show", PAIR[0])
    assert result.exit_code == 0
    for part in ("conv1", "Conv", "8x8x8", "Linear", "2570", "6138 parameters", "content sha256"):
        assert part in result.stdout


def test_version() -> None:
    assert run("--version").stdout.startswith("lipcert ")


def test_the_installed_command_in_a_process(inputs: Path) -> None:
    command = [sys.executable, "-c", "from lipcert.cli import main; main()", "certify", *PAIR]
    words = ["--inputs", str(inputs), "--eps", "0.001", "--json", "--threads", "1"]
    asked = [*command, *words, "--max-drift", "0.0001"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdict"]["status"] == Verdict.REFUTED
    assert "Traceback" not in done.stderr


def test_constants_of_outputs_are_told_with_arithmetic_and_relaxation() -> None:
    shown = run("lipschitz", PAIR[0], "--norm", "inf", "--outputs", "each")
    assert shown.exit_code == 0, shown.output
    assert "in real arithmetic" in " ".join(shown.stdout.split())
    assert "proved by interval Jacobian" in shown.stdout


def test_check_tells_what_constants_it_verified(tmp_path: Path) -> None:
    assert run("lipschitz", *PAIR, "--norm", "inf", "--out", tmp_path).exit_code == 0
    said = run("check", tmp_path).stdout
    upper = load_lipschitz(tmp_path)[0].constants["original"].upper
    assert upper is not None
    assert f"original: at most {above(upper)} by " in said
    assert "in linf, over all inputs, in real arithmetic" in said
    assert "compressed: no finite constant" in said


def test_check_answers_by_its_exit_status(inputs: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "key.pem"
    assert around(inputs, "--out", out).exit_code == 0
    fine = run("check", out)
    assert (fine.exit_code, fine.stdout.split(":")[0]) == (0, "verified")
    most = above(max(load(out).document.result.max_drift))
    assert "model.int8.onnx against model.onnx: PROVED." in fine.stdout
    assert f"further than {most} from" in " ".join(fine.stdout.split())
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    key.write_bytes(pem)
    assert run("sign", out, key).exit_code == 0
    assert run("check", out).exit_code == 0
    assert run("check", out, "--key", "00" * 32).exit_code == 1
    elsewhere = run("check", out, "--models", tmp_path / "f.onnx", tmp_path / "g.onnx")
    assert (elsewhere.exit_code, "is not here" in elsewhere.stdout) == (3, True)
    text = (out / "certificate.json").read_text().replace('"norm": "inf"', '"norm": "2"')
    (out / "certificate.json").write_text(text)
    assert run("check", out).exit_code == 1


def test_searches_have_a_limit_where_there_are_searches() -> None:
    region = ("--inputs", f"{DIGITS / 'inputs.npz'}:x", "--eps", "0.01", "--norm", "2")
    pair = (DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")
    made = run("certify", *pair, *region, "--method", "sdp", "--limit", "0", "--json")
    assert made.exit_code == 0
    refused = run("certify", *pair, *region, "--limit", "3")
    assert refused.exit_code == 2
    assert "only sdp does" in refused.output
