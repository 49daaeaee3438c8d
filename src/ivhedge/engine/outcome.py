"""From accounts to the tables of a `BacktestResult`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import polars as pl

from ivhedge import __version__
from ivhedge.engine.account import Account, Row
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.desk import SPOT_SHOCKS, VOL_SHOCKS
from ivhedge.engine.diagnostics import FitRecorder
from ivhedge.engine.figures import policy_figures
from ivhedge.engine.result import (
    ATTRIBUTION_SCHEMA,
    EQUITY_SCHEMA,
    IDENTITY_SCHEMA,
    JOURNAL_SCHEMA,
    SPOT_VOL_SCHEMA,
    STAGES_SCHEMA,
    TRADES_SCHEMA,
    BacktestResult,
    PolicyResult,
    Schema,
    empty_table,
)
from ivhedge.engine.spec import BookSpec, ObjectiveKind, PolicyKind, PolicySpec, ReplayConfig
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
    results = tuple(
        _policy_result(policy, accounts[policy.name], board, config.numeraire) for policy in policies
    )
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


def _policy_result(policy: PolicySpec, account: Account, board: QuoteBoard, numeraire: str) -> PolicyResult:
    proofs = account.ledger.verify(account.decimal_marks(), ts_ns=board.ts_ns)
    draft = PolicyResult(
        name=policy.name,
        description=_describe(policy),
        equity=_table(account.equity_rows, EQUITY_SCHEMA),
        attribution=_table(account.attribution, ATTRIBUTION_SCHEMA),
        trades=_table(account.trades, TRADES_SCHEMA),
        journal=_table(sorted(account.events, key=lambda row: int(row["ts"] or 0)), JOURNAL_SCHEMA),
        identity=_identity(proofs),
        summary={"identity_exact": all(proof.difference == 0 for proof in proofs.values())},
    )
    return replace(draft, summary=policy_figures(draft, numeraire).to_summary())


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
                strict=False,
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
    if policy.delta_rule is not None:
        rule = policy.delta_rule.value.replace("_", "-").title()
        parts.append(f"when delta leaves the {rule} band at {policy.rule_cost_bps:g} bp")
    if policy.delta_band > 0:
        parts.append(f"when delta leaves ±{policy.delta_band:.1%} of gross notional")
    when = " or ".join(parts) or "at every snapshot"
    what = "delta with the perpetual"
    if policy.kind is PolicyKind.DELTA_VEGA:
        what = (
            f"delta, and vega by tenor within ±{policy.vega_band:.0%} of the book's gross vega, with options"
        )
        if policy.objective is not ObjectiveKind.BUCKETED_VEGA:
            what += f", least {policy.objective.value.replace('_', ' ')}"
        if policy.max_hedge_options is not None:
            what += f", at most {policy.max_hedge_options} of them"
        if policy.holding_days is not None:
            what += f", held {policy.holding_days:g} days"
    elif policy.kind is PolicyKind.VIEW:
        what = f"delta, and vega by forecast, up to {policy.vega_usd:,.0f} USD in a range of tenors"
    elif policy.kind is PolicyKind.FIXED_VEGA:
        what = f"delta, and a vega of {policy.vega_usd:,.0f} USD in every range of tenors"
    if policy.skew_stickiness is not None:
        what += f" (delta at a skew stickiness of {policy.skew_stickiness:g})"
    return f"{what}, {when}"


def _plain(spec: BookSpec | PolicySpec) -> dict[str, object]:
    return {name: _text(value) for name, value in asdict(spec).items()}


def _text(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _text(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_text(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
