"""The checker stays small enough to be read in an hour."""

import ast
import io
import tokenize
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "lipcert" / "check"
SPACE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
         tokenize.ENDMARKER}  # fmt: skip
READS = ("network.py", "reader.py", "layers.py", "codes.py")  # ONNX files, into sums of linear maps
CURVES = ("curve.py", "named.py")  # for networks with tanh, sigmoid, GELU and their kind
FORMS = ("form.py", "lipschitz.py", "drift.py")  # for whoever asks for semidefinite bounds
MOST_THAT_PROVES, MOST_THAT_READS, MOST_OF_FORMS = 530, 370, 280
MOST_OF_CURVES = 170


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
    reads, forms, curves = (
        sum(counts.pop(name) for name in names) for names in (READS, FORMS, CURVES)
    )
    assert sum(counts.values()) <= MOST_THAT_PROVES, counts
    assert reads <= MOST_THAT_READS
    assert forms <= MOST_OF_FORMS
    assert curves <= MOST_OF_CURVES
