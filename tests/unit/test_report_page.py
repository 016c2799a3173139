"""The audit report: what it says, and that browsers and printers show all of it."""

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from math import inf
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from typer.testing import CliRunner

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.certificate.disk import load_lipschitz
from lipcert.certificate.words import ARITHMETIC, MEMBERS
from lipcert.cli import app
from lipcert.graph.semantics import Semantics
from lipcert.lipschitz import Effort
from lipcert.lipschitz.ascent import Ascent
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.read import read_inputs
from lipcert.report import formats
from lipcert.report.chapter import scan
from lipcert.report.file import File
from lipcert.report.number import above, below
from lipcert.report.page import page

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 180_000  # milliseconds: machines may be busy
QUICK = Effort(ascent=Ascent(steps=3, starts=2))
NARROW, WIDE, A4 = 390, 1200, 690  # pixels; A4 less its margins, at 96 per inch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with all that a report can tell: budget, labels, a refuted limit, slopes."""
    place = tmp_path_factory.mktemp("certificate")
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.int8.onnx")
    inputs = read_inputs(f"{DIGITS}/inputs.npz:x")[:3]
    region = lipcert.Box.around(inputs, eps=0.01, clip=(0.0, 1.0))
    attack = DriftAttack(steps=5, restarts=1)
    lipcert.certify(pair, region, TwinBounds(budget=True), attack=attack).save(place, 0.05)
    lipcert.lipschitz(pair, norm="inf", region=region, effort=QUICK).save(place)
    return place


@pytest.fixture(scope="module")
def stored(folder: Path) -> Stored:
    return load(folder)


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, Path]:
    places = {kind: folder / f"report.{kind}" for kind in ("html", "pdf", "md")}
    told = [word for kind, place in places.items() for word in (f"--{kind}", str(place))]
    done = CliRunner().invoke(app, ["report", str(folder), *told])
    assert done.exit_code == 0, done.output
    return places


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert os.environ.get("CI", "").lower() != "true", "CI must have Chromium"
        pytest.skip("needs Chromium, as in Debian's package chromium")
    with sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=PATIENCE)
        yield started
        started.close()


def opened(browser: Browser, place: Path, width: int) -> Page:
    shown = browser.new_page(viewport={"width": width, "height": 900})
    shown.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("requestfailed", lambda request: complaints.append(request.url))
    shown.goto(place.as_uri())
    assert complaints == []
    return shown


def test_numbers_shown_are_the_certificates(
    browser: Browser, written: dict[str, Path], stored: Stored
) -> None:
    shown = opened(browser, written["html"], WIDE)
    rows = shown.locator("table:has(caption:text('Drift per output')) tbody tr").all()
    drift = stored.document.result.drift
    assert len(rows) == len(drift.upper[0])
    for k, row in enumerate(rows):
        lower, upper = (Decimal(text) for text in row.locator("td").all_inner_texts()[:2])
        least, most = (min(r[k] for r in drift.lower), max(r[k] for r in drift.upper))
        assert lower <= Decimal(least)
        assert upper >= Decimal(most)
        assert float(lower) == pytest.approx(least, rel=2e-3)
        assert float(upper) == pytest.approx(most, rel=2e-3)
    rows = shown.locator("table:has(caption:text('around each input')) tbody tr").all()
    for row, bound in zip(rows, stored.document.result.max_drift, strict=True):
        text = row.locator("td").first.inner_text()
        assert Decimal(text) >= Decimal(bound)
        assert float(text) == pytest.approx(bound, rel=2e-3)


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_page_is_wider_than_its_screen(
    browser: Browser, written: dict[str, Path], width: int
) -> None:
    shown = opened(browser, written["html"], width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_a_name_without_spaces_fits(browser: Browser, stored: Stored, tmp_path: Path) -> None:
    networks = stored.document.provenance.networks
    named = networks.compressed.model_copy(update={"source": f"{'a_long_name' * 9}.onnx"})
    made = stored.document.provenance.model_copy(
        update={"networks": networks.model_copy(update={"compressed": named})}
    )
    document = stored.document.model_copy(update={"provenance": made})
    place = tmp_path / "report.html"
    told = File(Stored(document, stored.arrays, stored.path))
    place.write_text(formats.html(page([told, told])), encoding="utf-8")
    assert opened(browser, place, NARROW).evaluate("document.documentElement.scrollWidth") <= NARROW


def test_the_overview_fits_a_wide_screen(browser: Browser, stored: Stored, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text(formats.html(page([File(stored)] * 3)), encoding="utf-8")
    shown = opened(browser, place, WIDE).locator(".scroll").first
    assert shown.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert shown.locator("thead th").nth(1).inner_text() == "Verdict"


def test_counterexamples_are_shown_as_the_runtime_returned_them(
    written: dict[str, Path], stored: Stored
) -> None:
    text = written["md"].read_text(encoding="utf-8")
    every = stored.document.result.counterexamples
    assert every
    for entry in every:
        assert entry.runtime is not None
        assert entry.output is not None
        f, g = (getattr(entry.runtime, name)[entry.output] for name in ("original", "compressed"))
        row = f"| {entry.row} | drift of output {entry.output} | found[{entry.input}] |"
        assert f"{row} {f:.6g} | {g:.6g} | {g - f:.4g} |" in text


def test_what_was_not_checked_is_told(written: dict[str, Path]) -> None:
    text = written["md"].read_text(encoding="utf-8")
    assert "| Not checked by it | what no bound rests on: names of methods" in text
    assert "no sum can saturate over the regions: that was proved" in text
    assert "allowed drift 0.05: refuted; proved: drift at most" in text


def test_no_table_is_cut_off_in_print(browser: Browser, written: dict[str, Path]) -> None:
    shown = opened(browser, written["html"], A4)
    shown.emulate_media(media="print")
    cut = shown.evaluate(
        "[...document.querySelectorAll('table, svg')].filter("
        "e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"
    )
    assert cut == 0


def test_structure_is_for_readers_of_all_kinds(browser: Browser, written: dict[str, Path]) -> None:
    shown = opened(browser, written["html"], WIDE)
    levels = [
        int(element.evaluate("e => e.tagName")[1]) for element in shown.locator("h1, h2, h3").all()
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert shown.locator("img:not([alt]), [role=img]:not([aria-label])").count() == 0
    assert shown.locator("table").count() == shown.locator("table > caption").count()
    assert shown.locator("html[lang]").count() == 1
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_the_paper(
    browser: Browser, written: dict[str, Path], scheme: str
) -> None:
    shown = opened(browser, written["html"], WIDE)
    shown.emulate_media(color_scheme=scheme)
    for selector in ("body", "caption", ".refuted", "a"):
        pair = shown.locator(selector).first.evaluate(
            "e => { let p = e; while (getComputedStyle(p).backgroundColor === 'rgba(0, 0, 0, 0)')"
            " p = p.parentElement; return [getComputedStyle(e).color,"
            " getComputedStyle(p).backgroundColor]; }"
        )
        assert contrast(*pair) >= 4.5, (selector, pair)  # WCAG 2.2, success criterion 1.4.3


def contrast(first: str, second: str) -> float:
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of an rgb() colour (WCAG 2.2)."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_is_fetched(written: dict[str, Path]) -> None:
    text = written["html"].read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*", text)
    assert "@import" not in text
    assert "url(http" not in text


def test_every_chapter_has_something_to_say(written: dict[str, Path]) -> None:
    text = written["md"].read_text(encoding="utf-8")
    for chapter in scan():
        assert f"### {chapter.title}" in text
    assert "**REFUTED. An input was found" in text
    terms = "over 3 boxes of radius 0.01, in real arithmetic, by twin bounds"
    assert f"It is proved, {terms}, that" in text


def test_the_pdf_is_tagged(written: dict[str, Path]) -> None:
    content = written["pdf"].read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"pdfuaid" in content


def test_several_certificates_have_an_overview(stored: Stored) -> None:
    told = page([File(stored), File(stored)])
    assert told.overview is not None
    assert len(told.overview.rows) == 2
    assert told.overview.heads[1:5] == ("Verdict", "Regions", "Arithmetic", "Method")
    assert formats.markdown(told).count("\n## ") == 2
    assert formats.pdf(told).startswith(b"%PDF-")


def test_constants_stand_beside_what_was_seen(folder: Path, written: dict[str, Path]) -> None:
    text = written["md"].read_text(encoding="utf-8")
    constants = load_lipschitz(folder)[0].constants
    assert set(constants) == {"original", "compressed", "difference"}
    for constant in (constants["original"], constants["difference"]):
        upper = inf if constant.upper is None else constant.upper
        assert f"| {above(upper)} | {below(constant.observed)} |" in text
    assert "Nothing proved: quantised activations jump" in text
    assert "Of the Lipschitz constants: verified" in text


def test_constants_of_other_networks_are_refused(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "changed")
    other = lipcert.lipschitz(DIGITS / "model.pruned.onnx", norm=1, effort=QUICK)
    other.save(changed)
    done = CliRunner().invoke(app, ["report", str(changed)])
    assert done.exit_code == 2
    assert "not one of the networks" in " ".join(done.stderr.split())


def test_points_that_no_runtime_replayed(tmp_path: Path) -> None:
    inputs = read_inputs(f"{DIGITS}/inputs.npz:x")[:1]
    pair = lipcert.load_pair(
        DIGITS / "model.onnx", DIGITS / "model.int8.onnx", semantics=Semantics.ORT_X86_SAT16
    )
    attack = DriftAttack(steps=1, restarts=1)
    made = lipcert.certify(pair, lipcert.Box.around(inputs, 0.0), attack=attack)
    text = formats.markdown(page([File(load(made.save(tmp_path, 1e-3)))]))
    assert "1 point: each is a single input |" in text
    assert "No runtime has computed again what the search found." in text
    assert "Outputs are those that ONNX Runtime returned." in text


def test_a_report_may_leave_the_checker_out(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "report.md"
    done = CliRunner().invoke(app, ["report", str(folder), "--no-check", "--md", str(place)])
    assert done.exit_code == 0, done.output
    text = place.read_text(encoding="utf-8")
    assert "The independent checker (lipcert check) was not asked." in text
    assert "| Independent check | not run for this report |" in text


def test_a_changed_certificate_is_refused(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "changed")
    facts = changed / "certificate.json"
    text = facts.read_text(encoding="utf-8")
    facts.write_text(text.replace('"status": "refuted"', '"status": "proved"'), encoding="utf-8")
    done = CliRunner().invoke(app, ["report", str(changed)])
    assert done.exit_code == 2
    assert "error:" in done.stderr


@pytest.mark.parametrize("region", ["box", "ball", "grid"])
def test_the_claim_says_what_a_region_holds(region: str, tmp_path: Path) -> None:
    inputs = read_inputs(f"{DIGITS}/inputs.npz:x")[:1]
    ends = (0.0, 1.0)
    made = {
        "box": lipcert.Box.around(inputs, 0.01, ends),
        "ball": lipcert.Ball.around(inputs, 0.01, ends),
        "grid": lipcert.Grid.around(inputs, 1 / 16, ends, step=1 / 16),
    }[region]
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")
    attack = DriftAttack(steps=1, restarts=1)
    told = File(
        load(lipcert.certify(pair, made, IntervalArithmetic(), attack=attack).save(tmp_path, 0.3))
    )
    text = formats.markdown(page([told]))
    assert "|g(x) - f(x)| ≤ 0.3" in text
    assert "1 x 8 x 8 numbers, all of them from 0 to " in text
    assert MEMBERS[region] in text
    assert f"real: {ARITHMETIC['real']}" in text
    assert ("the step being 0.0625" in text) == (region == "grid")
