"""Amounts of a book in one hand: as many decimals in all of a column, map or set of bars.

A number that shows as zero has no sign; a minus is the true one. What a sum leaves over by rounding is zero.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.engine.series import USD_LIKE
from ivhedge.report import format as fmt
from ivhedge.report.bookview import Unit

__all__ = ["decimals", "minus", "money_column", "said_once", "unit_of", "without_zeros"]

_DECIMALS: dict[Unit, tuple[tuple[float, int], ...]] = {
    "usd": ((100.0, 0), (0.1, 2), (0.0, 4)),
    "coin": ((1000.0, 2), (0.1, 4), (1e-4, 6), (0.0, 8)),
}
_FEWEST: dict[Unit, int] = {"usd": 0, "coin": 4}
_ROUNDING = 1e-12
_HYPHEN_AS_MINUS = re.compile(r"(?<![\w)])-(?=\d)")
_PER_CENT = re.compile(r"(?<=\d)%")
_SIGNED_ZERO = re.compile(r"(?<![\w.])[+−](?=0+(?:\.0+)?(?![\d.]))")


def unit_of(currency: str) -> Unit:
    """Whether a currency is counted as dollars or as coins."""
    return "usd" if currency in USD_LIKE else "coin"


def decimals(values: Iterable[float | None] | FloatArray, unit: Unit) -> int:
    """Decimals that all of some amounts are shown with: those that the largest one needs."""
    sizes = [abs(value) for value in values if value is not None and np.isfinite(value)]
    reach = max(sizes, default=0.0)
    if reach < _ROUNDING:
        return _FEWEST[unit]
    return next(places for least, places in _DECIMALS[unit] if reach >= least)


def money_column(values: Iterable[float | None], currency: str, *, signed: bool = False) -> list[str]:
    """Amounts of one currency, all with the decimals of the largest."""
    known = list(values)
    places = decimals(known, unit_of(currency))
    return [fmt.number(value, places, signed=signed) for value in known]


def without_zeros(
    values: Mapping[str, float], unit: Unit, *, always: Iterable[str] = ()
) -> tuple[dict[str, float], str]:
    """Leave out what would show as zero, and say of how many rows that is true.

    Parameters
    ----------
    values : mapping of name to float
    unit : {"usd", "coin"}
    always : iterable of str
        Names that stay all the same.

    Returns
    -------
    dict of name to float
    str
        For instance ``3 rows of zero left out``; empty if there are none.
    """
    least, stays = 0.5 * 10.0 ** -decimals(values.values(), unit), frozenset(always)
    kept = {name: value for name, value in values.items() if abs(value) > least or name in stays}
    count = len(values) - len(kept)
    return kept, f"{count} row{'s' if count > 1 else ''} of zero left out" if count else ""


def minus(text: str) -> str:
    """Names with numbers in them in the hand of all numbers: true minus, a space before per cent.

    A hyphen between letters, digits or words stays one: ``12-13 March``, ``BTC-5JUN26-72000-P``.
    """
    return _SIGNED_ZERO.sub("", _PER_CENT.sub(" %", _HYPHEN_AS_MINUS.sub("−", text)))


def said_once(notes: Iterable[str]) -> tuple[str, ...]:
    """Notes in their order, each once, with their numbers as `minus` writes them."""
    return tuple(dict.fromkeys(map(minus, notes)))
