"""What a backtest hands to the report: one value per policy, one for the run.

Every table has a declared schema below. A table given to a dataclass is brought to its schema (missing
columns and wrong types are a `SchemaError`; further columns are kept after the declared ones), so a
reader of a result never has to guess. Volatilities are decimals, shares are decimals, times are
``datetime[ns, UTC]``; a value that is not known is null.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.market.schemas import conform

__all__ = [
    "ATTRIBUTION_SCHEMA",
    "ATTRIBUTION_TERMS",
    "DROPS_SCHEMA",
    "EQUITY_SCHEMA",
    "FIT_BY_TENOR_SCHEMA",
    "IDENTITY_SCHEMA",
    "JOURNAL_SCHEMA",
    "POLICY_TABLES",
    "RUN_TABLES",
    "SMILES_SCHEMA",
    "SPOT_VOL_SCHEMA",
    "STAGES_SCHEMA",
    "SURFACES_SCHEMA",
    "TERM_SCHEMA",
    "TRADES_SCHEMA",
    "BacktestResult",
    "JsonValue",
    "PolicyResult",
    "Schema",
    "SummaryValue",
    "empty_table",
]

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
SummaryValue: TypeAlias = float | int | str | bool | None
Schema: TypeAlias = Mapping[str, pl.DataType]

_TIME: Final = pl.Datetime("ns", "UTC")
_FLOAT: Final = pl.Float64()
_TEXT: Final = pl.String()
_COUNT: Final = pl.Int64()

EQUITY_SCHEMA: Final[Schema] = {
    "ts": _TIME,
    "underlying": _TEXT,
    "currency": _TEXT,  # settlement currency of this row's amounts: BTC, ETH, USD, ...
    "cash": _FLOAT,  # in `currency`
    "option_value": _FLOAT,  # in `currency`, at marks
    "futures_value": _FLOAT,  # in `currency`, unrealised
    "equity": _FLOAT,  # cash + option_value + futures_value
    "index": _FLOAT,  # USD per coin of the underlying
    "equity_usd": _FLOAT,
    "delta_coin": _FLOAT,  # premium-adjusted, coin
    "delta_usd": _FLOAT,  # dV_usd/dS, coin units
    "gamma_1pct_usd": _FLOAT,  # change of delta_usd for +1 %
    "vega_usd_per_vol_point": _FLOAT,
    "theta_usd_per_day": _FLOAT,
}

ATTRIBUTION_TERMS: Final = (
    "delta",
    "gamma",
    "theta",
    "vega",
    "vanna",
    "volga",
    "funding",
    "fees",
    "slippage",
    "residual",
)
"""Terms whose sum is `total`; costs are negative numbers."""

ATTRIBUTION_SCHEMA: Final[Schema] = {
    "ts": _TIME,  # end of the step
    "underlying": _TEXT,
    "currency": _TEXT,  # of all amounts of the row
    **dict.fromkeys(ATTRIBUTION_TERMS, _FLOAT),
    "total": _FLOAT,
}

TRADES_SCHEMA: Final[Schema] = {
    "ts": _TIME,
    "instrument": _TEXT,
    "venue": _TEXT,
    "kind": _TEXT,  # option | future | perpetual
    "quantity": _FLOAT,  # contracts, positive = bought
    "price": _FLOAT,
    "mark": _FLOAT,
    "fee": _FLOAT,  # positive = paid, in `currency`
    "slippage": _FLOAT,  # positive = paid away from the mark, in `currency`
    "currency": _TEXT,
    "reason": _TEXT,
    "purpose": _TEXT,  # book | hedge | roll
}

JOURNAL_SCHEMA: Final[Schema] = {"ts": _TIME, "event": _TEXT, "detail": _TEXT}

IDENTITY_SCHEMA: Final[Schema] = {
    "currency": _TEXT,
    "cash_and_marks": _TEXT,  # exact decimal text
    "flows": _TEXT,  # exact decimal text: sum of all ledger flows and revaluations
    "difference": _TEXT,  # "0" when the books close
}

SURFACES_SCHEMA: Final[Schema] = {
    "ts": _TIME,
    "underlying": _TEXT,
    "n_quotes": _COUNT,
    "rmse_vol": _FLOAT,  # decimal vol
    "inside_bid_ask": _FLOAT,  # share
    "certificate_valid": pl.Boolean(),
    "iterations": _COUNT,
}

FIT_BY_TENOR_SCHEMA: Final[Schema] = {
    "underlying": _TEXT,
    "tenor": _TEXT,  # bucket, for instance "8-30d"; rows in the order to show
    "inside_bid_ask": _FLOAT,
    "rmse_vol": _FLOAT,
    "n_quotes": _COUNT,
}

SMILES_SCHEMA: Final[Schema] = {
    "underlying": _TEXT,
    "expiry": _TIME,
    "tau": _FLOAT,
    "strike": _FLOAT,
    "log_moneyness": _FLOAT,
    "bid_iv": _FLOAT,
    "ask_iv": _FLOAT,
    "mid_iv": _FLOAT,
    "model_iv": _FLOAT,
    "venue": _TEXT,  # a row without any quote only draws the model's line
}

TERM_SCHEMA: Final[Schema] = {
    "underlying": _TEXT,
    "ts": _TIME,
    "tenor_days": _FLOAT,  # constant tenors, for instance 7, 14, 30, 60, 90, 180
    "atm_vol": _FLOAT,
    "risk_reversal_25": _FLOAT,  # vol of the 25-delta call less that of the put
    "butterfly_25": _FLOAT,
}

DROPS_SCHEMA: Final[Schema] = {"reason": _TEXT, "count": _COUNT}

STAGES_SCHEMA: Final[Schema] = {"stage": _TEXT, "seconds": _FLOAT, "share": _FLOAT}

SPOT_VOL_SCHEMA: Final[Schema] = {
    "policy": _TEXT,
    "underlying": _TEXT,
    "spot_shock": _FLOAT,  # relative, -0.1 = ten per cent down
    "vol_shock": _FLOAT,  # absolute, 0.05 = five vol points up
    "pnl_usd": _FLOAT,
    "pnl_coin": _FLOAT,
}

POLICY_TABLES: Final[Mapping[str, Schema]] = {
    "equity": EQUITY_SCHEMA,
    "attribution": ATTRIBUTION_SCHEMA,
    "trades": TRADES_SCHEMA,
    "journal": JOURNAL_SCHEMA,
    "identity": IDENTITY_SCHEMA,
}
"""Tables of a `PolicyResult` with their schemas."""

RUN_TABLES: Final[Mapping[str, Schema]] = {
    "surfaces": SURFACES_SCHEMA,
    "fit_by_tenor": FIT_BY_TENOR_SCHEMA,
    "smiles": SMILES_SCHEMA,
    "term": TERM_SCHEMA,
    "drops": DROPS_SCHEMA,
    "stages": STAGES_SCHEMA,
    "spot_vol": SPOT_VOL_SCHEMA,
}
"""Tables of a `BacktestResult` with their schemas."""


def empty_table(schema: Schema) -> pl.DataFrame:
    """Build a table without rows."""
    return pl.DataFrame(schema=dict(schema))


def _fitted(table: pl.DataFrame, schema: Schema, source: str) -> pl.DataFrame:
    if table.width == 0:
        return empty_table(schema)
    declared = conform(table, schema, source=source)
    return declared.with_columns(table[name] for name in table.columns if name not in schema)


def _json_value(value: object, path: str) -> JsonValue:
    """Bring a value to plain JSON types; what is not finite becomes null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_value(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item, f"{path}[{place}]") for place, item in enumerate(value)]
    raise ConfigError(
        f"{path}: expected a JSON value (null, bool, number, text, list, table), "
        f"found {type(value).__name__}; convert it to text first"
    )


def _summary_value(value: object, path: str) -> SummaryValue:
    plain = _json_value(value, path)
    if isinstance(plain, list | dict):
        raise ConfigError(f"{path}: expected one number or text, found {type(value).__name__}")
    return plain


def _same(left: object, right: object) -> bool:
    """Compare by value, tables included (polars' ``==`` is element-wise)."""
    if type(left) is not type(right):
        return False
    for item in fields(left):  # type: ignore[arg-type]
        mine, other = getattr(left, item.name), getattr(right, item.name)
        if isinstance(mine, pl.DataFrame):
            if mine.schema != other.schema or not mine.equals(other, null_equal=True):
                return False
        elif mine != other:
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyResult:
    """What one hedging policy did and earned.

    Parameters
    ----------
    name : str
        Short name, unique in the run; the unhedged policy is called ``"none"``.
    description : str
    equity : pl.DataFrame
        `EQUITY_SCHEMA`, one row per (ts, underlying, currency), first row before the first step.
    attribution : pl.DataFrame
        `ATTRIBUTION_SCHEMA`, one row per (ts, underlying, currency).
    trades : pl.DataFrame
        `TRADES_SCHEMA`, one row per fill.
    journal : pl.DataFrame
        `JOURNAL_SCHEMA`: plans, refusals, settlements, in time order.
    identity : pl.DataFrame
        `IDENTITY_SCHEMA`, one row per currency at the end of the run, exact decimals as text.
    summary : mapping
        Plain numbers and text; see Notes. Not finite becomes null.

    Notes
    -----
    Keys that the report knows (others are listed after them): ``pnl_<CCY>`` per settlement currency,
    ``pnl_usd``, ``pnl_std_usd`` (standard deviation of step P&L), ``max_drawdown_usd``, ``cvar95_usd``
    (mean of the worst 5 % of steps, negative = loss), ``turnover_usd``, ``fees_usd``, ``slippage_usd``
    (both positive = paid), ``funding_usd`` (positive = received), ``n_trades``,
    ``residual_share_of_gross``, ``identity_exact``. What is absent is worked out from the tables.
    """

    name: str
    description: str
    equity: pl.DataFrame
    attribution: pl.DataFrame
    trades: pl.DataFrame
    journal: pl.DataFrame = field(default_factory=pl.DataFrame)
    identity: pl.DataFrame = field(default_factory=pl.DataFrame)
    summary: Mapping[str, SummaryValue]

    def __post_init__(self) -> None:
        for name, schema in POLICY_TABLES.items():
            fitted = _fitted(getattr(self, name), schema, f"policy {self.name!r}, table {name}")
            object.__setattr__(self, name, fitted)
        plain = {k: _summary_value(v, f"{self.name}.summary.{k}") for k, v in self.summary.items()}
        object.__setattr__(self, "summary", plain)

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """Everything a replay found, ready to be shown or stored.

    Parameters
    ----------
    name : str
    underlyings : tuple of str
    numeraire : str
        ``"coin"`` (risk and P&L are measured in the settlement coin) or ``"usd"``.
    start_ns, end_ns : int
        First and last snapshot, nanoseconds since the epoch, UTC.
    n_snapshots : int
        Snapshots replayed, counted per (ts, underlying).
    policies : tuple of PolicyResult
        The first, or the one called ``"none"``, is what the others are compared with.
    surfaces, fit_by_tenor, smiles, term, drops, stages, spot_vol : pl.DataFrame
        See the schemas of this module; `smiles` is the last snapshot, `spot_vol` the last book under
        each policy. All may be empty.
    assumptions, warnings : tuple of str
        Plain sentences: settlement proxy, funding source, ...; and what the reader must know.
    config : mapping
        JSON-able configuration of the run; secrets never belong here.
    version : str
        Version of `ivhedge` that made the result.
    seed : int, optional
        Seed of the simulated market, if one was used.

    Raises
    ------
    SchemaError
        If a table lacks a column, has a wrong type, or two policies share a name.
    ConfigError
        If the numeraire is unknown, the window is reversed, or the configuration is not JSON-able.
    """

    name: str
    underlyings: tuple[str, ...]
    numeraire: str
    start_ns: int
    end_ns: int
    n_snapshots: int
    policies: tuple[PolicyResult, ...]
    surfaces: pl.DataFrame = field(default_factory=pl.DataFrame)
    fit_by_tenor: pl.DataFrame = field(default_factory=pl.DataFrame)
    smiles: pl.DataFrame = field(default_factory=pl.DataFrame)
    term: pl.DataFrame = field(default_factory=pl.DataFrame)
    drops: pl.DataFrame = field(default_factory=pl.DataFrame)
    stages: pl.DataFrame = field(default_factory=pl.DataFrame)
    spot_vol: pl.DataFrame = field(default_factory=pl.DataFrame)
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    version: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.numeraire not in ("coin", "usd"):
            raise ConfigError(f"expected numeraire 'coin' or 'usd', found {self.numeraire!r}")
        if self.end_ns < self.start_ns:
            raise ConfigError(f"expected an end after the start, found {self.start_ns} to {self.end_ns}")
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise SchemaError(f"expected unique policy names, found {names}")
        for name, schema in RUN_TABLES.items():
            fitted = _fitted(getattr(self, name), schema, f"result {self.name!r}, table {name}")
            object.__setattr__(self, name, fitted)
        object.__setattr__(self, "config", _json_value(self.config, "config"))

    def __eq__(self, other: object) -> bool:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def baseline(self) -> PolicyResult | None:
        """The policy that others are compared with: ``"none"``, else the first; None without policies."""
        for policy in self.policies:
            if policy.name == "none":
                return policy
        return self.policies[0] if self.policies else None
