"""From accounts to the tables of a `BacktestResult`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import polars as pl

from ivhedge import __version__
from ivhedge.core.types import FloatArray
from ivhedge.engine.account import Account, Row
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.desk import SPOT_SHOCKS, VOL_SHOCKS
from ivhedge.engine.diagnostics import FitRecorder
from ivhedge.engine.result import (
    ATTRIBUTION_SCHEMA,
    ATTRIBUTION_TERMS,
    EQUITY_SCHEMA,
    IDENTITY_SCHEMA,
    JOURNAL_SCHEMA,
    SPOT_VOL_SCHEMA,
    STAGES_SCHEMA,
    TRADES_SCHEMA,
    BacktestResult,
    PolicyResult,
    Schema,
    SummaryValue,
    empty_table,
)
from ivhedge.engine.spec import BookSpec, PolicyKind, PolicySpec, ReplayConfig
from ivhedge.ledger import MoneyProof
from ivhedge.risk import VolShock, spot_vol_matrix

__all__ = ["build_result"]


def build_result(
    *,
    config: ReplayConfig,
    book: BookSpec,
    policies: Sequence[PolicySpec],
    accounts: Mapping[str, Account],
    board: QuoteBoard,
    recorder: FitRecorder,
    first_ns: int,
    n_snapshots: int,
    seconds: Mapping[str, float],
    assumptions: tuple[str, ...],
    warnings: tuple[str, ...],
    seed: int | None,
) -> BacktestResult:
    """Prove each account's money and assemble the result.

    Raises
    ------
    LedgerError
        If an account's money identity is off by a single grain.
    """
    results = tuple(_policy_result(policy, accounts[policy.name], board, book) for policy in policies)
    return BacktestResult(
        name=config.name,
        underlyings=tuple(sorted(board.snapshots)),
        numeraire=config.numeraire,
        start_ns=first_ns,
        end_ns=board.ts_ns,
        n_snapshots=n_snapshots,
        policies=results,
        surfaces=recorder.surfaces(),
        fit_by_tenor=recorder.by_tenor(),
        smiles=recorder.smiles(),
        term=recorder.term(),
        drops=recorder.drops(),
        stages=_stages(seconds),
        spot_vol=_spot_vol(accounts, board),
        assumptions=assumptions,
        warnings=warnings,
        config={"run": dict(config.config), "book": _plain(book), "policies": [_plain(p) for p in policies]},
        version=__version__,
        seed=seed,
    )


def _policy_result(policy: PolicySpec, account: Account, board: QuoteBoard, book: BookSpec) -> PolicyResult:
    proofs = account.ledger.verify(account.decimal_marks(), ts_ns=board.ts_ns)
    equity = _table(account.equity_rows, EQUITY_SCHEMA)
    attribution = _table(account.attribution, ATTRIBUTION_SCHEMA)
    trades = _table(account.trades, TRADES_SCHEMA)
    return PolicyResult(
        name=policy.name,
        description=_describe(policy),
        equity=equity,
        attribution=attribution,
        trades=trades,
        journal=_table(sorted(account.events, key=lambda row: int(row["ts"] or 0)), JOURNAL_SCHEMA),
        identity=_identity(proofs),
        summary=_summary(equity, attribution, trades, proofs, board),
    )


def _table(rows: Sequence[Row], schema: Schema) -> pl.DataFrame:
    if not rows:
        return empty_table(schema)
    raw = {name: (pl.Int64() if name == "ts" else kind) for name, kind in schema.items()}
    table = pl.DataFrame(list(rows), schema_overrides=raw)
    return table.with_columns(pl.from_epoch("ts", "ns").dt.replace_time_zone("UTC"))


def _identity(proofs: Mapping[str, MoneyProof]) -> pl.DataFrame:
    rows = [
        (code, _exact(_worth(proof)), _exact(proof.flows), _exact(proof.difference))
        for code, proof in sorted(proofs.items())
    ]
    return pl.DataFrame(rows, schema=dict(IDENTITY_SCHEMA), orient="row")


def _worth(proof: MoneyProof) -> Fraction:
    return proof.cash.to_fraction() + proof.residue + proof.option_value + proof.futures_value


def _exact(value: Fraction) -> str:
    # Grains have a denominator of a power of ten, so the text is exact.
    with localcontext() as context:
        context.prec = 60
        return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def _summary(
    equity: pl.DataFrame,
    attribution: pl.DataFrame,
    trades: pl.DataFrame,
    proofs: Mapping[str, MoneyProof],
    board: QuoteBoard,
) -> dict[str, SummaryValue]:
    usd = {code: _usd_rate(code, board) for code in proofs}
    summary: dict[str, SummaryValue] = {}
    for code in sorted(proofs):
        total = float(attribution.filter(pl.col("currency") == code)["total"].sum())
        summary[f"pnl_{code}"] = total
    steps = _steps_usd(attribution, usd)
    gross = sum(float(attribution[name].abs().sum()) for name in ATTRIBUTION_TERMS)
    in_usd = attribution.with_columns(_rate_column(usd))
    summary |= {
        "pnl_usd": float(steps.sum()),
        "pnl_std_usd": float(np.std(steps, ddof=1)) if steps.size > 1 else None,
        "cvar95_usd": _expected_shortfall(steps),
        "max_drawdown_usd": _drawdown(steps),
        "turnover_usd": float(trades["value_usd"].sum()) if "value_usd" in trades.columns else 0.0,
        "fees_usd": -float((in_usd["fees"] * in_usd["usd"]).sum()),
        "slippage_usd": -float((in_usd["slippage"] * in_usd["usd"]).sum()),
        "funding_usd": float((in_usd["funding"] * in_usd["usd"]).sum()),
        "n_trades": trades.height,
        "n_hedges": trades.filter(pl.col("purpose") == "hedge").height,
        "residual_share_of_gross": float(attribution["residual"].abs().sum()) / gross if gross else 0.0,
        "identity_exact": all(proof.difference == 0 for proof in proofs.values()),
    }
    return summary


def _usd_rate(code: str, board: QuoteBoard) -> float:
    return board.index(code) if code in board.snapshots else 1.0


def _rate_column(usd: Mapping[str, float]) -> pl.Expr:
    return pl.col("currency").replace_strict(dict(usd), return_dtype=pl.Float64).alias("usd")


def _steps_usd(attribution: pl.DataFrame, usd: Mapping[str, float]) -> FloatArray:
    # One rate for the whole run: coin profit is compared between policies, not the coin's own move.
    if attribution.is_empty():
        return np.zeros(0)
    rows = attribution.with_columns(_rate_column(usd))
    per_step = rows.group_by("ts").agg((pl.col("total") * pl.col("usd")).sum()).sort("ts")
    return np.asarray(per_step["total"].to_numpy(), dtype=np.float64)


def _expected_shortfall(steps: FloatArray) -> float | None:
    if steps.size == 0:
        return None
    worst = max(1, round(0.05 * steps.size))
    return float(np.sort(steps)[:worst].mean())


def _drawdown(steps: FloatArray) -> float:
    path = np.concatenate(([0.0], np.cumsum(steps)))
    return float(np.max(np.maximum.accumulate(path) - path))


def _stages(seconds: Mapping[str, float]) -> pl.DataFrame:
    total = sum(seconds.values()) or 1.0
    rows = sorted(((name, s, s / total) for name, s in seconds.items()), key=lambda row: -row[1])
    return pl.DataFrame(rows, schema=dict(STAGES_SCHEMA), orient="row")


def _spot_vol(accounts: Mapping[str, Account], board: QuoteBoard) -> pl.DataFrame:
    tables = []
    for name, account in accounts.items():
        for underlying in board.snapshots:
            matrix = spot_vol_matrix(
                account.book(),
                board.surfaces,
                spot_shocks=SPOT_SHOCKS,
                vol_shocks=100.0 * VOL_SHOCKS,
                vol_shock=VolShock.POINTS,
                underlying=underlying,
                ts_ns=board.ts_ns,
            )
            spot, vol = np.meshgrid(SPOT_SHOCKS, VOL_SHOCKS, indexing="ij")
            tables.append(
                pl.DataFrame(
                    {
                        "policy": [name] * spot.size,
                        "underlying": [underlying] * spot.size,
                        "spot_shock": spot.ravel(),
                        "vol_shock": vol.ravel(),
                        "pnl_usd": matrix.pnl_usd.ravel(),
                        "pnl_coin": matrix.pnl_coin.ravel(),
                    }
                )
            )
    return pl.concat(tables) if tables else empty_table(SPOT_VOL_SCHEMA)


def _describe(policy: PolicySpec) -> str:
    if policy.kind is PolicyKind.NONE:
        return "the book as it is"
    parts = []
    if policy.interval_hours is not None:
        parts.append(f"every {policy.interval_hours:g} h")
    if policy.delta_band > 0:
        parts.append(f"when delta leaves ±{policy.delta_band:.1%} of gross notional")
    when = " or ".join(parts) or "at every snapshot"
    what = "delta with the perpetual"
    if policy.kind is PolicyKind.DELTA_VEGA:
        what = (
            f"delta, and vega by tenor within ±{policy.vega_band:.0%} of the book's gross vega, with options"
        )
    return f"{what}, {when}"


def _plain(spec: BookSpec | PolicySpec) -> dict[str, object]:
    return {name: _text(value) for name, value in asdict(spec).items()}


def _text(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _text(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_text(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
