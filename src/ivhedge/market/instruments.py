"""From names and table rows to `core.Instrument`."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Final

import polars as pl

from ivhedge.core.errors import SchemaError, UnknownInstrument
from ivhedge.core.instruments import Instrument, InstrumentKind
from ivhedge.core.units import NS_PER_HOUR, to_ns
from ivhedge.market.contracts import load_contracts

__all__ = ["instrument_from_name", "instruments_of"]

_NAME: Final = re.compile(
    r"(?P<coin>[A-Z0-9]+)(?:_[A-Z]+)?-(?:(?P<perpetual>PERPETUAL)|(?P<day>\d{1,2})(?P<month>[A-Z]{3})"
    r"(?P<year>\d{2})(?:-(?P<strike>\d+(?:d\d+)?)-(?P<side>[CP]))?)"
)
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EXPIRY_HOUR_UTC: Final = 8


def instrument_from_name(venue: str, name: str, *, underlying: str | None = None) -> Instrument:
    """Build an instrument from a name in the Deribit form.

    Parameters
    ----------
    venue : str
        A venue whose contracts ship with the package.
    name : str
        For instance ``"BTC-27MAR26-90000-C"``, ``"BTC-27MAR26"``, ``"BTC-PERPETUAL"``.
    underlying : str, optional
        Coin that the name must belong to.

    Raises
    ------
    UnknownInstrument
        If the name has another form or another coin, or the venue lists no such product.

    Examples
    --------
    >>> instrument_from_name("deribit", "BTC-27MAR26-90000-C").strike
    Decimal('90000')
    """
    match = _NAME.fullmatch(name)
    if match is None or (match["month"] is not None and match["month"] not in _MONTHS):
        raise UnknownInstrument(
            f"{venue}: expected a name such as BTC-27MAR26-90000-C, BTC-27MAR26 or BTC-PERPETUAL, "
            f"found {name!r}"
        )
    if underlying is not None and match["coin"] != underlying:
        raise UnknownInstrument(f"{venue}: expected an instrument on {underlying}, found {name!r}")
    if match["perpetual"] is not None:
        return _build(venue, name, match["coin"], InstrumentKind.PERPETUAL, None, None, None)
    expiry_ns = _expiry_ns(venue, name, match)
    if match["side"] is None:
        return _build(venue, name, match["coin"], InstrumentKind.FUTURE, expiry_ns, None, None)
    strike = Decimal(match["strike"].replace("d", "."))
    return _build(venue, name, match["coin"], InstrumentKind.OPTION, expiry_ns, strike, match["side"] == "C")


def instruments_of(table: pl.DataFrame) -> dict[str, Instrument]:
    """Build every instrument in a chain or a futures table.

    Parameters
    ----------
    table : pl.DataFrame
        In `CHAIN_SCHEMA` or `FUTURES_SCHEMA`.

    Returns
    -------
    dict of str to Instrument
        By the instrument's `key` (``venue:name``), in order of first appearance.

    Raises
    ------
    UnknownInstrument
        If a venue or product has no contract specification.
    SchemaError
        If a row's settlement contradicts the specification, or its strike is not finite.
    """
    height, is_chain = table.height, "strike" in table.columns
    rows = zip(
        table["venue"].to_list(),
        table["instrument_name"].to_list(),
        table["underlying"].to_list(),
        ["option"] * height if is_chain else table["kind"].to_list(),
        table["expiry"].cast(pl.Datetime("ns", "UTC")).cast(pl.Int64).to_list(),
        table["strike"].to_list() if is_chain else [None] * height,
        table["is_call"].to_list() if is_chain else [None] * height,
        table["settlement"].to_list(),
        strict=True,
    )
    built: dict[str, Instrument] = {}
    for row in rows:
        key, instrument = _of_row(*row)
        built.setdefault(key, instrument)
    return built


@lru_cache(maxsize=65_536)
def _of_row(
    venue: str,
    name: str,
    underlying: str,
    kind: str,
    expiry_ns: int | None,
    strike: float | None,
    is_call: bool | None,
    settlement: str,
) -> tuple[str, Instrument]:
    if strike is not None and not isfinite(strike):
        raise SchemaError(f"{venue}:{name}: expected a finite strike, found {strike}; clean the chain first")
    exact = None if strike is None else _decimal(strike)
    instrument = _build(venue, name, underlying, InstrumentKind(kind), expiry_ns, exact, is_call)
    if instrument.settlement.value != settlement:
        raise SchemaError(
            f"{instrument.key}: expected settlement {instrument.settlement.value!r} "
            f"(contracts of {venue}), found {settlement!r}"
        )
    return instrument.key, instrument


def _decimal(value: float) -> Decimal:
    return Decimal(int(value)) if value == int(value) else Decimal(repr(value))


def _expiry_ns(venue: str, name: str, match: re.Match[str]) -> int:
    month = _MONTHS.index(match["month"]) + 1
    try:
        day = datetime(2000 + int(match["year"]), month, int(match["day"]), tzinfo=UTC)
    except ValueError as exc:
        raise UnknownInstrument(f"{venue}: expected a date in the name, found {name!r}: {exc}") from exc
    return to_ns(day) + _EXPIRY_HOUR_UTC * NS_PER_HOUR


@lru_cache(maxsize=65_536)
def _build(
    venue: str,
    name: str,
    underlying: str,
    kind: InstrumentKind,
    expiry_ns: int | None,
    strike: Decimal | None,
    is_call: bool | None,
) -> Instrument:
    spec = load_contracts(venue).spec(kind, underlying)
    return Instrument(
        name=name,
        venue=venue,
        underlying=underlying,
        kind=kind,
        settlement=spec.settlement,
        settle_currency=spec.settle_currency,
        multiplier=spec.multiplier,
        lot=spec.lot,
        min_size=spec.min_size,
        ticks=spec.ticks,
        expiry_ns=expiry_ns,
        strike=strike,
        is_call=is_call,
    )
