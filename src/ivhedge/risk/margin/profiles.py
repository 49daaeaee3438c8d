"""Dated margin profiles from TOML, shipped with the package or the user's own."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from ivhedge.core.errors import ConfigError
from ivhedge.risk.margin.rules import (
    BasisRule,
    ContingencyRule,
    DeltaShockRule,
    DiscountRule,
    FactorRule,
    MarginProfile,
    RollRule,
    Scenario,
    ScenarioRules,
    SkewRule,
    StandardRules,
    TailRule,
    VolMove,
    VolShockRule,
)

__all__ = ["available_margin_profiles", "load_margin_profile", "parse_margin_profile"]

T = TypeVar("T")
_Table = Mapping[str, object]
_TEXT = ("name", "venue", "model", "currency", "source")
_HEAD = frozenset({*_TEXT, "kernel", "underlyings", "valid_from", "valid_to", "note", "public", "assumed"})
_SECTIONS: dict[str, Any] = {
    "vol_shock": VolShockRule,
    "skew": SkewRule,
    "discount": DiscountRule,
    "basis": BasisRule,
    "contingency": ContingencyRule,
    "tail": TailRule,
    "roll": RollRule,
    "delta_shock": DeltaShockRule,
    "factors": FactorRule,
}
_GRID = frozenset({"spot", "vol", "dampening", "tail"})


def available_margin_profiles() -> tuple[str, ...]:
    """Names of the shipped profiles, sorted."""
    folder = files("ivhedge.risk.margin").joinpath("profiles")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


@lru_cache(maxsize=64)
def load_margin_profile(name: str) -> MarginProfile:
    """Load a shipped profile; its dates are checked when it is used.

    Raises
    ------
    ConfigError
        If there is no profile of that name.
    """
    if name not in available_margin_profiles():
        raise ConfigError(
            f"expected a margin profile of {list(available_margin_profiles())}, found {name!r}; "
            "write your own and load it with parse_margin_profile"
        )
    text = files("ivhedge.risk.margin").joinpath("profiles", f"{name}.toml").read_text(encoding="utf-8")
    profile = parse_margin_profile(text, source=f"profiles/{name}.toml")
    if profile.name != name:
        raise ConfigError(f"profiles/{name}.toml: expected name {name!r}, found {profile.name!r}")
    return profile


def parse_margin_profile(text: str, *, source: str) -> MarginProfile:
    """Read a profile.

    Parameters
    ----------
    text : str
        TOML.
    source : str
        Where the text came from, for error messages.

    Raises
    ------
    ConfigError
        If it is no TOML, a key is unknown or missing, or a value has a wrong type or is not finite.
    """
    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: expected TOML: {exc}") from exc
    kernel = data.get("kernel")
    if kernel not in ("scenario", "standard"):
        raise ConfigError(f"{source}: expected kernel 'scenario' or 'standard', found {kernel!r}")
    body = {"grid", "twap_seconds", *_SECTIONS} if kernel == "scenario" else {"standard"}
    _only(data, _HEAD | body, source)
    rules = _scenario_rules(data, source) if kernel == "scenario" else _standard_rules(data, source)
    head = {name: _typed(data.get(name), str, f"{source}: {name}") for name in _TEXT}
    return MarginProfile(
        **head,
        underlyings=_texts(data.get("underlyings", []), f"{source}: underlyings"),
        valid_from=_day(data.get("valid_from"), f"{source}: valid_from"),
        valid_to=_day(data.get("valid_to"), f"{source}: valid_to"),
        note=_typed(data.get("note", ""), str, f"{source}: note"),
        public=_typed(data.get("public"), bool, f"{source}: public"),
        assumed=_texts(data.get("assumed", []), f"{source}: assumed"),
        rules=rules,
    )


def _scenario_rules(data: _Table, source: str) -> ScenarioRules:
    grids = data.get("grid")
    if not isinstance(grids, list) or not grids:
        raise ConfigError(f"{source}: expected at least one [[grid]], found {grids!r}")
    scenarios = [s for i, grid in enumerate(grids) for s in _grid(grid, f"{source} [[grid]] {i + 1}")]
    if "vol_shock" not in data:
        raise ConfigError(f"{source}: expected a table [vol_shock]; a shock is stated, never assumed")
    sections = {n: _build(cls, data[n], f"{source} [{n}]") for n, cls in _SECTIONS.items() if n in data}
    twap = _number(data.get("twap_seconds", 0.0), f"{source}: twap_seconds")
    return ScenarioRules(scenarios=tuple(scenarios), twap_seconds=twap, **sections)


def _standard_rules(data: _Table, source: str) -> StandardRules:
    if "standard" not in data:
        raise ConfigError(f"{source}: expected a table [standard], found {sorted(data)}")
    return _build(StandardRules, data["standard"], f"{source} [standard]")


def _grid(table: object, where: str) -> list[Scenario]:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, found {table!r}")
    _only(table, _GRID, where)
    spots = [_number(x, f"{where}: spot") for x in _list(table.get("spot"), f"{where}: spot")]
    vols = _texts(table.get("vol"), f"{where}: vol")
    unknown = sorted(set(vols) - {v.value for v in VolMove})
    if unknown or not vols:
        raise ConfigError(f"{where}: expected vol of {[v.value for v in VolMove]}, found {list(vols)}")
    found = table.get("dampening", [1.0] * len(spots))
    damping = [_number(x, f"{where}: dampening") for x in _list(found, f"{where}: dampening")]
    if len(damping) != len(spots):
        raise ConfigError(f"{where}: expected {len(spots)} dampening values, found {len(damping)}")
    tail = _typed(table.get("tail", False), bool, f"{where}: tail")
    return [
        Scenario(spot=s, vol=VolMove(v), dampening=d, tail=tail)
        for s, d in zip(spots, damping, strict=True)
        for v in vols
    ]


def _build(cls: type[T], table: object, where: str) -> T:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, found {table!r}")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    _only(table, frozenset(known), where)
    missing = sorted(n for n, f in known.items() if f.default is MISSING and n not in table)
    if missing:
        raise ConfigError(f"{where}: expected also {missing}; a margin figure is stated, never assumed")
    values = {
        name: _typed(value, bool, f"{where}: {name}")
        if known[name].type is bool
        else _number(value, f"{where}: {name}")
        for name, value in table.items()
    }
    return cls(**values)


def _only(table: _Table, known: frozenset[str] | set[str], where: str) -> None:
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


def _list(value: object, where: str) -> list[object]:
    return _typed(value, list, where)


def _texts(value: object, where: str) -> tuple[str, ...]:
    return tuple(_typed(item, str, where) for item in _list(value, where))


def _day(value: object, where: str) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ConfigError(f"{where}: expected a date such as 2026-01-31, found {value!r}")
    return value
