"""Configuration files: TOML text, validated once at the border, turned into the engine's frozen values.

An unknown key is an error. Paths inside a file are relative to the file.
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from ivhedge.core.errors import ConfigError
from ivhedge.engine.spec import (
    DEFAULT_VEGA_BUCKETS_DAYS,
    BookSpec,
    DeltaRuleKind,
    HoldingSpec,
    ObjectiveKind,
    PolicyKind,
    PolicySpec,
    ReplayConfig,
    StructureKind,
    StructureSpec,
    VegaBucket,
)

__all__ = ["load_book", "load_policies", "load_replay"]


class ConfigModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Structure(ConfigModel):
    kind: StructureKind
    tenor_days: FiniteFloat
    notional_usd: FiniteFloat
    delta: FiniteFloat = 0.25
    underlying: str | None = None
    rolls: bool = True


class _Holding(ConfigModel):
    instrument: str
    contracts: Decimal


class _Book(ConfigModel):
    name: str
    venue: str
    collateral_usd: FiniteFloat
    empty: bool = False
    structure: tuple[_Structure, ...] = ()
    holding: tuple[_Holding, ...] = ()


class PolicyModel(ConfigModel):
    name: str
    kind: PolicyKind
    interval_hours: float | None = None
    delta_band: float = 0.0
    vega_band: float = 0.25
    vega_buckets_days: tuple[tuple[float, float], ...] = DEFAULT_VEGA_BUCKETS_DAYS
    objective: ObjectiveKind = ObjectiveKind.BUCKETED_VEGA
    max_hedge_options: int | None = None
    holding_days: FiniteFloat | None = None
    delta_rule: DeltaRuleKind | None = None
    rule_cost_bps: FiniteFloat = 5.5
    rule_aversion: FiniteFloat = 10.0
    skew_stickiness: FiniteFloat | None = None
    vega_usd: FiniteFloat = 0.0
    capital_usd: FiniteFloat = 1e6


class _Policies(ConfigModel):
    policy: tuple[PolicyModel, ...] = Field(min_length=1)


class _Replay(ConfigModel):
    name: str
    numeraire: Literal["coin", "usd"] = "coin"
    hedge_venues: tuple[str, ...] = ()
    perpetual_half_spread_bps: float = Field(0.5, ge=0)
    future_half_spread_bps: float = Field(1.0, ge=0)
    funding_rate_8h: float | None = None
    settlement_bars: Path | None = None
    risk_price: float = Field(0.1, ge=0)
    view_bars: dict[str, Path] = Field(default_factory=dict)


_M = TypeVar("_M", bound=ConfigModel)


def load_toml(path: Path, model: type[_M]) -> _M:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ConfigError(f"expected a TOML file, found {found} at {path}; name the file itself")
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not a TOML file: {exc}") from exc
    except ValidationError as exc:
        raise ConfigError(f"{path}: {explain_error(exc)}") from exc


def explain_error(error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "missing":
            lines.append(f"{where}: {item['msg']}, found none: add it")
        else:
            lines.append(f"{where}: {item['msg']}, found {item['input']!r}")
    return "; ".join(lines)


def load_book(path: Path) -> BookSpec:
    """Read a book.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, has an unknown key or an impossible value.
    """
    raw = load_toml(path, _Book)
    return BookSpec(
        name=raw.name,
        venue=raw.venue,
        collateral_usd=raw.collateral_usd,
        empty=raw.empty,
        structures=tuple(StructureSpec(**dict(item)) for item in raw.structure),
        holdings=tuple(HoldingSpec(**dict(item)) for item in raw.holding),
    )


def load_policies(path: Path) -> tuple[PolicySpec, ...]:
    """Read the policies to compare, in the order of the file.

    Raises
    ------
    ConfigError
        As for `load_book`; also if two policies share a name.
    """
    policies = tuple(policy_spec(item) for item in load_toml(path, _Policies).policy)
    names = [policy.name for policy in policies]
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: expected one name per policy, found {names}")
    return policies


def policy_spec(raw: PolicyModel) -> PolicySpec:
    fields = dict(raw)
    buckets = tuple(VegaBucket(low, high) for low, high in fields.pop("vega_buckets_days"))
    return PolicySpec(**fields, vega_buckets=buckets)


def load_replay(path: Path) -> ReplayConfig:
    """Read the conventions of a run.

    Raises
    ------
    ConfigError
        As for `load_book`.
    """
    raw = load_toml(path, _Replay)
    fields = raw.model_dump()
    if raw.settlement_bars is not None:
        fields["settlement_bars"] = (path.parent / raw.settlement_bars).resolve()
    fields["view_bars"] = {coin: (path.parent / bars).resolve() for coin, bars in raw.view_bars.items()}
    return ReplayConfig(**fields, config=raw.model_dump(mode="json"))
