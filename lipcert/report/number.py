"""Numbers as text of few digits, rounded so that what is printed stays true."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from math import isfinite, isnan

DIGITS = 4


def above(value: float, digits: int = DIGITS) -> str:
    """Rounded up: an upper bound that is printed is one still."""
    return _text(value, Context(prec=digits, rounding=ROUND_CEILING))


def below(value: float, digits: int = DIGITS) -> str:
    """Rounded down: a lower bound that is printed is one still."""
    return _text(value, Context(prec=digits, rounding=ROUND_FLOOR))


def length(value: float) -> str:
    """Six digits without trailing zeros: as it was written, such as 0.3, else rounded down."""
    text = _text(value, Context(prec=6, rounding=ROUND_FLOOR), repr(float(value)))
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def ratio(proved: float, seen: float | None) -> str:
    """How many times what was seen the proved bound is; '-' where there is nothing to compare."""
    if seen is None or isnan(seen) or proved == seen == 0:
        return "-"
    if seen == 0 or not isfinite(proved):
        return "inf"
    return above(proved / seen, 3)


def _text(value: float, context: Context, name: str | None = None) -> str:
    """A value, or the decimal that names it, in a context's digits."""
    if not isfinite(value):
        return str(value)
    short = context.create_decimal(Decimal(value) if name is None else name)
    if short == 0:
        return "0"
    if Decimal("1e-4") <= abs(short) < 10 ** max(context.prec, 6):
        return format(short, "f")
    return format(short, "e")
