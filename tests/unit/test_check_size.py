"""The checker stays small enough to be read in an hour."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER, GUIDE = ROOT / "lipcert" / "check", ROOT / "docs" / "tutorials" / "auditor.md"
SPACE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
         tokenize.ENDMARKER}  # fmt: skip
CHAPTERS = {  # what an auditor reads, and the most lines of code of it
    "bounds on the drift": (
        {"__init__.py", "__main__.py", "answer.py", "claim.py", "derive.py", "operation.py"}, 500,
    ),
    "ONNX files, into sums of linear maps": (
        {"network.py", "reader.py", "layers.py", "codes.py"}, 380,
    ),
    "inputs that were found": ({"found.py"}, 50),
    "where networks are executed, or end in a softmax": ({"executed.py", "softmax.py"}, 100),
    "where it has a tanh, a GELU or their kind": ({"curve.py", "named.py"}, 170),
    "where multipliers prove the drift": ({"form.py", "drift.py"}, 200),
    "Lipschitz constants": ({"lipschitz.py", "jacobian.py"}, 200),
}  # fmt: skip


def code_lines(source: str) -> int:
    """Lines that are neither blank nor import, comment or docstring."""
    words = set[int]()
    for node in ast.walk(ast.parse(source)):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, ast.Import | ast.ImportFrom):
            assert isinstance(node, ast.stmt)
            words |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SPACE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - words)


def test_the_checker_can_be_read() -> None:
    counts = {
        path.name: code_lines(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")
    }
    for chapter, (names, most) in CHAPTERS.items():
        assert sum(counts.pop(name) for name in names) <= most, chapter
    assert not counts


def test_auditors_are_told_what_to_read() -> None:
    told = GUIDE.read_text(encoding="utf-8")
    for chapter, (names, most) in CHAPTERS.items():
        files = ", ".join(f"`{name[:-3]}`" for name in sorted(names) if name[0] != "_")
        assert f"| {chapter} | {files} | {most} |" in told
