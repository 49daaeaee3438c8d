"""Dated venue profiles: fees and funding rules from TOML, shipped with the package or the user's own.

A profile has a head (`venue`, `as_of`, `simulated`), one table per kind and settlement (`[option.coin]`,
`[perpetual.usd]`, ...) with the settings of `FeeRule`, optional tables per series
(`[future.coin.weekly]`) that override some of them, and `[funding]`. An unknown key is an error.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import InstrumentKind, Settlement
from ivhedge.core.units import NS_PER_HOUR, NS_PER_SECOND
from ivhedge.ledger.expiry_period import ExpiryPeriod
from ivhedge.ledger.fees import FeeRule, FeeSchedule
from ivhedge.ledger.funding import FundingRule, FundingStyle

__all__ = [
    "VenueProfile",
    "available_venues",
    "load_fees",
    "load_funding_rule",
    "load_profile",
    "parse_profile",
]

_HEAD = frozenset({"venue", "as_of", "simulated", "note", "funding"})
_FUNDING = frozenset({"style", "interval_hours", "tolerance_minutes", "status", "source"})
_Table = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueProfile:
    """Everything the ledger knows about one venue on one date.

    Parameters
    ----------
    venue, as_of : str
        Lower-case name and ISO date of the figures.
    simulated : bool
        Whether this is one of the simulator's made-up venues.
    fees : FeeSchedule
    funding : FundingRule
    """

    venue: str
    as_of: str
    simulated: bool
    fees: FeeSchedule
    funding: FundingRule


def available_venues() -> tuple[str, ...]:
    """Names of the venues whose profiles are shipped, sorted."""
    folder = files("ivhedge.ledger").joinpath("profiles")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


@lru_cache(maxsize=64)
def load_profile(venue: str) -> VenueProfile:
    """Load a shipped profile.

    Raises
    ------
    ConfigError
        If there is no profile of that name.
    """
    if venue not in available_venues():
        raise ConfigError(
            f"expected a venue of {list(available_venues())}, found {venue!r}; "
            "for another venue write a profile and load it with ivhedge.ledger.parse_profile"
        )
    text = files("ivhedge.ledger").joinpath("profiles", f"{venue}.toml").read_text(encoding="utf-8")
    profile = parse_profile(text, source=f"profiles/{venue}.toml")
    if profile.venue != venue:
        raise ConfigError(f"profiles/{venue}.toml: expected venue {venue!r}, found {profile.venue!r}")
    return profile


def load_fees(venue: str) -> FeeSchedule:
    """Fees of a shipped profile.

    Raises
    ------
    ConfigError
        If there is no profile of that name.

    Examples
    --------
    >>> from ivhedge.core import InstrumentKind, Settlement
    >>> load_fees("deribit").rules[InstrumentKind.OPTION, Settlement.COIN].cap
    Decimal('0.125')
    """
    return load_profile(venue).fees


def load_funding_rule(venue: str) -> FundingRule:
    """Funding rule of a shipped profile.

    Raises
    ------
    ConfigError
        If there is no profile of that name.
    """
    return load_profile(venue).funding


def parse_profile(text: str, *, source: str) -> VenueProfile:
    """Read a profile.

    Parameters
    ----------
    text : str
        TOML; numbers are read as exact decimals.
    source : str
        Where the text came from, for error messages.

    Raises
    ------
    ConfigError
        If it is no TOML, a key is unknown or missing, or a value is out of range.
    """
    try:
        data: dict[str, object] = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: expected TOML: {exc}") from exc
    kinds = {kind.value for kind in InstrumentKind}
    _only(data, _HEAD | kinds, source)
    venue, as_of = data.get("venue"), data.get("as_of")
    if not isinstance(venue, str) or not venue or not isinstance(as_of, date):
        raise ConfigError(f"{source}: expected venue (text) and as_of (date), found {venue!r} and {as_of!r}")
    rules: dict[tuple[InstrumentKind, Settlement], FeeRule] = {}
    by_period: dict[tuple[InstrumentKind, Settlement, ExpiryPeriod], FeeRule] = {}
    for kind in InstrumentKind:
        table = _table(data.get(kind.value, {}), f"{source} [{kind}]")
        _only(table, {item.value for item in Settlement}, f"{source} [{kind}]")
        for settlement in (item for item in Settlement if item.value in table):
            where = f"{source} [{kind}.{settlement}]"
            settings = dict(_table(table[settlement.value], where))
            periods = {p: settings.pop(p.value) for p in ExpiryPeriod if p.value in settings}
            rules[kind, settlement] = _rule(settings, where)
            for period, special in periods.items():
                override = _table(special, f"{where[:-1]}.{period}]")
                by_period[kind, settlement, period] = _rule({**settings, **override}, f"{where} {period}")
    return VenueProfile(
        venue=venue,
        as_of=as_of.isoformat(),
        simulated=data.get("simulated") is True,
        fees=FeeSchedule(venue=venue, as_of=as_of.isoformat(), rules=rules, by_period=by_period),
        funding=_funding(_table(data.get("funding", {}), f"{source} [funding]"), f"{source} [funding]"),
    )


def _table(value: object, where: str) -> _Table:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, found {value!r}")
    return value


def _only(table: _Table, known: frozenset[str] | set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(f"{where}: expected only {sorted(known)}, found {unknown}; check the spelling")


def _number(table: _Table, name: str, where: str) -> Decimal:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ConfigError(f"{where}: expected {name} as a number, found {value!r}")
    return Decimal(value)


def _text(table: _Table, name: str, where: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise ConfigError(f"{where}: expected {name} as text, found {value!r}")
    return value


def _rule(table: _Table, where: str) -> FeeRule:
    _only(table, set(FeeRule.names()), where)
    missing = sorted({"maker", "taker", "status", "source"} - set(table))
    if missing:
        raise ConfigError(
            f"{where}: expected {missing}, found {sorted(table)}; a fee is stated, never assumed"
        )
    by_index = table.get("by_index", False)
    if not isinstance(by_index, bool):
        raise ConfigError(f"{where}: expected by_index as true or false, found {by_index!r}")
    optional = {n: _number(table, n, where) for n in ("cap", "delivery", "delivery_cap") if n in table}
    try:
        return FeeRule(
            maker=_number(table, "maker", where),
            taker=_number(table, "taker", where),
            cap=optional.get("cap"),
            taker_flat=_number(table, "taker_flat", where) if "taker_flat" in table else Decimal(0),
            by_index=by_index,
            delivery=optional.get("delivery"),
            delivery_cap=optional.get("delivery_cap"),
            status=_text(table, "status", where),
            source=_text(table, "source", where),
        )
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _funding(table: _Table, where: str) -> FundingRule:
    _only(table, _FUNDING, where)
    style = _text(table, "style", where) or FundingStyle.CONTINUOUS.value
    if style not in set(FundingStyle):
        raise ConfigError(f"{where}: expected style of {[s.value for s in FundingStyle]}, found {style!r}")
    hours = _number(table, "interval_hours", where) if "interval_hours" in table else Decimal(8)
    minutes = _number(table, "tolerance_minutes", where) if "tolerance_minutes" in table else Decimal(60)
    return FundingRule(
        style=FundingStyle(style),
        interval_ns=int(hours * NS_PER_HOUR),
        tolerance_ns=int(minutes * 60 * NS_PER_SECOND),
    )
