"""Named stresses from TOML, shipped with the package or the user's own."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from ivhedge.core.errors import ConfigError
from ivhedge.risk.stress.definitions import (
    LiquidityShock,
    SkewShock,
    Stress,
    StressCatalogue,
    StressKind,
    VenueShock,
    VolShift,
)

__all__ = ["load_catalogue", "parse_catalogue"]

T = TypeVar("T")
_Table = Mapping[str, object]


@lru_cache(maxsize=1)
def load_catalogue() -> StressCatalogue:
    """Load the shipped stresses: days that happened, then those made up."""
    folder = files("ivhedge.risk.stress").joinpath("catalogues")
    parts = [
        parse_catalogue(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"), source=f"{name}.toml")
        for name in ("historical", "hypothetical")
    ]
    return StressCatalogue(
        as_of=min(part.as_of for part in parts), stresses=tuple(s for part in parts for s in part.stresses)
    )


def parse_catalogue(text: str, *, source: str) -> StressCatalogue:
    """Read stresses.

    Parameters
    ----------
    text : str
        TOML: `as_of` and one table ``[[stress]]`` each, keys as the fields of `Stress`.
    source : str
        Where the text came from, for error messages.

    Raises
    ------
    ConfigError
        If it is no TOML, a key is unknown or missing, a name comes twice, or a value is out of range.
    """
    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: expected TOML: {exc}") from exc
    _only(data, {"as_of", "stress"}, source)
    tables = data.get("stress")
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{source}: expected at least one [[stress]], found {tables!r}")
    stresses = tuple(_stress(table, f"{source} [[stress]] {i + 1}") for i, table in enumerate(tables))
    names = [stress.name for stress in stresses]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{source}: expected each name once, found {twice} again")
    return StressCatalogue(as_of=_day(data.get("as_of"), f"{source}: as_of"), stresses=stresses)


_PARTS: dict[str, Any] = {
    "vol": VolShift,
    "skew": SkewShock,
    "venue": VenueShock,
    "liquidity": LiquidityShock,
}


def _stress(table: object, where: str) -> Stress:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, found {table!r}")
    if isinstance(table.get("name"), str):
        where = f"{where} ({table['name']})"
    _only(table, {f.name for f in fields(Stress)}, where)
    missing = sorted({"name", "title", "kind"} - set(table))
    if missing:
        raise ConfigError(f"{where}: expected also {missing}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        at = f"{where}: {key}"
        if key in _PARTS:
            values[key] = _build(_PARTS[key], value, at)
        elif key in ("spot", "currency"):
            values[key] = {name: _number(x, f"{at}.{name}") for name, x in _typed(value, dict, at).items()}
        elif key in ("sources", "assumed"):
            values[key] = tuple(_typed(item, str, at) for item in _typed(value, list, at))
        elif key == "days":
            values[key] = _number(value, at)
        elif key == "date":
            values[key] = _day(value, at)
        else:
            values[key] = _typed(value, str, at)
    if values["kind"] not in list(StressKind):
        raise ConfigError(
            f"{where}: expected kind of {[k.value for k in StressKind]}, found {values['kind']!r}"
        )
    values["kind"] = StressKind(values["kind"])
    return _checked(Stress, values, where)


def _build(cls: type[T], table: object, where: str) -> T:
    found = _typed(table, dict, where)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    _only(found, set(known), where)
    missing = sorted(n for n, f in known.items() if f.default is MISSING and n not in found)
    if missing:
        raise ConfigError(f"{where}: expected also {missing}; a shock is stated, never assumed")
    values = {
        name: _typed(value, str, f"{where}.{name}")
        if known[name].type is str
        else _number(value, f"{where}.{name}")
        for name, value in found.items()
    }
    return _checked(cls, values, where)


def _checked(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    try:
        return cls(**values)
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _only(table: _Table, known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(f"{where}: expected only {sorted(known)}, found {unknown}; check the spelling")


def _typed(value: object, kind: type[T], where: str) -> T:
    if not isinstance(value, kind):
        raise ConfigError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, found {value!r}")
    return float(value)


def _day(value: object, where: str) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ConfigError(f"{where}: expected a date such as 2026-01-31, found {value!r}")
    return value
