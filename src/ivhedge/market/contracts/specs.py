"""Reading the dated contract specifications that ship with the package.

A file ``<venue>.toml`` has a date ``as_of``, tables ``[<kind>.<underlying>]`` and, for what they share,
``[defaults.<kind>]``. ``extends = "<other venue>"`` takes over another file first.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from typing import Final

from ivhedge.core.errors import ConfigError, UnknownInstrument
from ivhedge.core.instruments import InstrumentKind, Settlement, TickLadder
from ivhedge.core.money import Currency, currency

__all__ = ["ContractSpec", "VenueContracts", "known_venues", "load_contracts"]

_META: Final = ("venue", "as_of", "source", "extends", "defaults")
_Table = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSpec:
    """What all contracts of one kind and underlying on a venue have in common.

    Units as in `ivhedge.core.instruments`: `lot` and `min_size` in contracts, `multiplier` in coin per
    contract (USD per contract for coin-settled futures).
    """

    settlement: Settlement
    settle_currency: Currency
    multiplier: Decimal
    lot: Decimal
    min_size: Decimal
    ticks: TickLadder


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueContracts:
    """All specifications of a venue, as of a date."""

    venue: str
    as_of: str
    specs: Mapping[tuple[InstrumentKind, str], ContractSpec]

    def spec(self, kind: InstrumentKind, underlying: str) -> ContractSpec:
        """Look a specification up.

        Raises
        ------
        UnknownInstrument
            If the venue lists no such product.
        """
        try:
            return self.specs[kind, underlying]
        except KeyError as exc:
            known = sorted(f"{k.value} {u}" for k, u in self.specs)
            raise UnknownInstrument(
                f"{self.venue}: expected a product of {known} (contracts as of {self.as_of}), "
                f"found {kind.value} {underlying}; add it to market/contracts/{self.venue}.toml"
            ) from exc


@cache
def known_venues() -> tuple[str, ...]:
    """Names of the venues whose contracts ship with the package, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def load_contracts(venue: str) -> VenueContracts:
    """Load the specifications of a venue.

    Raises
    ------
    UnknownInstrument
        If there is no file for the venue.
    ConfigError
        If the file is malformed.
    """
    document = _document(venue)
    specs: dict[tuple[InstrumentKind, str], ContractSpec] = {}
    defaults = _table(document.get("defaults", {}), f"{venue}: defaults")
    for name, products in document.items():
        if name in _META:
            continue
        kind = _kind(name, venue)
        shared = _table(defaults.get(name, {}), f"{venue}: defaults.{name}")
        for underlying, own in _table(products, f"{venue}: {name}").items():
            where = f"{venue}: {name}.{underlying}"
            specs[kind, underlying] = _spec({**shared, **_table(own, where)}, underlying, where)
    return VenueContracts(venue=venue, as_of=str(document.get("as_of", "undated")), specs=specs)


def _document(venue: str) -> _Table:
    file = resources.files(__package__) / f"{venue}.toml"
    if venue not in known_venues():
        raise UnknownInstrument(
            f"expected a venue of {list(known_venues())}, found {venue!r}; "
            f"describe its contracts in market/contracts/{venue}.toml"
        )
    document: _Table = tomllib.loads(file.read_text(encoding="utf-8"))
    parent = document.get("extends")
    return {**_document(str(parent)), **document} if parent is not None else document


def _kind(name: str, venue: str) -> InstrumentKind:
    try:
        return InstrumentKind(name)
    except ValueError as exc:
        known = [*_META, *(kind.value for kind in InstrumentKind)]
        raise ConfigError(f"{venue}: expected one of {known}, found {name!r}") from exc


def _table(value: object, where: str) -> _Table:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, found {value!r}")
    return value


def _spec(fields: _Table, underlying: str, where: str) -> ContractSpec:
    try:
        steps = fields["ticks"]
        if not isinstance(steps, list):
            raise TypeError(f"ticks are {steps!r}")
        settlement = Settlement(str(fields["settlement"]))
        code = underlying if settlement is Settlement.COIN else str(fields["settle_currency"])
        return ContractSpec(
            settlement=settlement,
            settle_currency=currency(code),
            multiplier=Decimal(str(fields["multiplier"])),
            lot=Decimal(str(fields["lot"])),
            min_size=Decimal(str(fields["min_size"])),
            ticks=TickLadder.of(*((str(start), str(tick)) for start, tick in steps)),
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as exc:
        raise ConfigError(
            f"{where}: expected settlement, multiplier, lot, min_size and ticks, found {fields}: {exc!r}"
        ) from exc
