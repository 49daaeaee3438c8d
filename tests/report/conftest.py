"""A synthetic but realistic backtest: short strangles, four policies, two assets, eight weeks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import polars as pl
import pytest

from ivhedge.engine.result import ATTRIBUTION_TERMS, BacktestResult, PolicyResult
from ivhedge.report import FitView

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SPOTS = {"BTC": 92_000.0, "ETH": 3_150.0}
HEDGES = {
    "none": (0.0, 0.0),
    "delta 6h": (0.93, 0.0),
    "delta band": (0.86, 0.0),
    "delta + vega": (0.92, 0.75),
}
DESCRIPTIONS = {
    "none": "the book as it is",
    "delta 6h": "delta to zero every 6 hours with the perpetual",
    "delta band": "delta to the edge of a ±0.4 band",
    "delta + vega": "delta band, vega by tenor within ±2 k USD",
}

ResultFactory: TypeAlias = Callable[..., BacktestResult]


def _times(n: int) -> list[datetime]:
    return [START + timedelta(hours=6 * i) for i in range(n)]


def _paths(n: int, spot: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    returns = np.concatenate([[0.0], rng.standard_t(4, n - 1) * 0.0125])
    vol = 0.45 + np.cumsum(np.concatenate([[0.0], rng.normal(0, 0.006, n - 1) - 0.15 * returns[1:]]))
    return spot * np.exp(np.cumsum(returns)), np.clip(vol, 0.3, 0.9)


def _policy(name: str, n: int, underlyings: tuple[str, ...], seed: int) -> PolicyResult:
    equity, attribution, trades = [], [], []
    for coin in underlyings:
        rng = np.random.default_rng(seed)
        spot, vol = _paths(n, SPOTS[coin], rng)
        size = 10.0 if coin == "BTC" else 120.0
        hedged_delta, hedged_vega = HEDGES[name]
        moves = np.diff(np.log(spot), prepend=np.log(spot[0]))
        raw_delta = size * (0.12 * np.sin(np.arange(n) / 17) - 2.2 * np.log(spot / spot[0]))
        delta = (1 - hedged_delta) * raw_delta + hedged_delta * size * 0.01 * rng.normal(size=n)
        vega = -(1 - hedged_vega) * size * spot * 0.0011 * (1.2 - np.arange(n) / n)
        terms = {
            "delta": np.concatenate([[0], (delta[:-1] * moves[1:])]),
            "gamma": -0.9 * size * moves**2 * (1 - 0.3 * hedged_vega),
            "theta": np.full(n, 0.00016 * size * (1 - 0.3 * hedged_vega)),
            "vega": vega * np.diff(vol, prepend=vol[0]) * 100 / spot,
            "vanna": 0.02 * size * moves * np.diff(vol, prepend=vol[0]),
            "volga": -0.1 * size * np.diff(vol, prepend=vol[0]) ** 2,
            "funding": hedged_delta * -raw_delta * 1.2e-5,
            "fees": -hedged_delta * size * 0.00001 * (1 + np.abs(rng.normal(size=n))),
            "slippage": -(hedged_delta + 2 * hedged_vega)
            * size
            * 0.000008
            * (1 + np.abs(rng.normal(size=n))),
            "residual": 1e-5 * size * rng.normal(size=n),
        }
        for values in terms.values():
            values[0] = 0.0
        total = np.sum(list(terms.values()), axis=0)
        cash = size * 0.5 + np.cumsum(total)
        option_value = -size * 0.06 * (1.1 - np.arange(n) / n)
        ts = _times(n)
        equity.append(
            pl.DataFrame(
                {
                    "ts": ts,
                    "underlying": coin,
                    "currency": coin,
                    "cash": cash - option_value,
                    "option_value": option_value,
                    "futures_value": np.zeros(n),
                    "equity": cash,
                    "index": spot,
                    "equity_usd": cash * spot,
                    "delta_coin": delta,
                    "delta_usd": delta + option_value,
                    "gamma_1pct_usd": -0.018 * size * np.ones(n) * (1 - 0.3 * hedged_vega),
                    "vega_usd_per_vol_point": vega,
                    "theta_usd_per_day": 0.00064 * size * spot,
                }
            )
        )
        attribution.append(
            pl.DataFrame({"ts": ts[1:], "underlying": coin, "currency": coin})
            .with_columns(pl.Series(term, terms[term][1:]) for term in ATTRIBUTION_TERMS)
            .with_columns(pl.Series("total", total[1:]))
        )
        if hedged_delta and n > 1:
            step = 1 if name == "delta 6h" else 3
            trades.append(_trades(ts[1::step], coin, spot[1::step], delta[1::step], terms["fees"][1::step]))
    table = pl.concat(trades) if trades else pl.DataFrame()
    return PolicyResult(
        name=name,
        description=DESCRIPTIONS[name],
        equity=pl.concat(equity),
        attribution=pl.concat(attribution),
        trades=table,
        journal=pl.DataFrame(
            {
                "ts": _times(3),
                "event": ["book", "plan", "settle"],
                "detail": ["8 positions opened", "delta 0.62 -> 0.01, cost 0.0004 BTC", "2 options expired"],
            }
        ),
        identity=pl.DataFrame(
            {
                "currency": list(underlyings),
                "cash_and_marks": ["4.81270431"] * len(underlyings),
                "flows": ["4.81270431"] * len(underlyings),
                "difference": ["0"] * len(underlyings),
            }
        ),
        summary={"identity_exact": True, "turnover_usd": 25e6 * HEDGES[name][0], "n_trades": table.height},
    )


def _trades(
    ts: list[datetime], coin: str, spot: np.ndarray, delta: np.ndarray, fee: np.ndarray
) -> pl.DataFrame:
    n = len(ts)
    is_option = np.arange(n) % 9 == 8
    names = np.where(is_option, f"{coin}-27MAR26-{spot[0] * 1.1:.0f}-C", f"{coin}-PERPETUAL")
    return pl.DataFrame(
        {
            "ts": ts,
            "instrument": names,
            "venue": "deribit",
            "kind": np.where(is_option, "option", "perpetual"),
            "quantity": np.where(is_option, 1.2, np.round(-delta * spot / 10)),
            "price": np.where(is_option, 0.0345, spot),
            "mark": np.where(is_option, 0.0343, spot * 1.00002),
            "fee": -fee,
            "slippage": np.abs(fee) * 0.7,
            "currency": coin,
            "reason": np.where(is_option, "vega 30-60d above its band", "delta above its band"),
            "purpose": "hedge",
        }
    )


def _smiles(underlyings: tuple[str, ...], end: datetime) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for coin in underlyings:
        for days in (2, 9, 23, 51, 114, 205):
            tau = days / 365
            k = np.linspace(-2.2, 2.0, 31) * 0.5 * np.sqrt(tau)
            model = 0.46 + 0.02 * np.log1p(days) / 5 - 0.05 * k / np.sqrt(tau) + 0.10 * k**2 / tau
            half = 0.006 + 0.01 * np.abs(k) / np.sqrt(tau)
            mid = model + rng.normal(0, 0.006, k.size)
            rows.append(
                pl.DataFrame(
                    {
                        "underlying": coin,
                        "expiry": end + timedelta(days=days),
                        "tau": tau,
                        "strike": SPOTS[coin] * np.exp(k),
                        "log_moneyness": k,
                        "bid_iv": np.where(np.arange(k.size) % 13 == 0, None, mid - half).astype(float),
                        "ask_iv": mid + half,
                        "mid_iv": np.where(np.arange(k.size) % 13 == 0, None, mid).astype(float),
                        "model_iv": model,
                        "venue": "deribit",
                    }
                ).with_columns(pl.col("bid_iv", "mid_iv").fill_nan(None))
            )
    return pl.concat(rows)


def _term(ts: list[datetime], underlyings: tuple[str, ...]) -> pl.DataFrame:
    tenors = np.array([7.0, 14, 30, 60, 90, 180])
    rng = np.random.default_rng(5)
    parts = []
    for coin in underlyings:
        level = 0.45 + np.cumsum(rng.normal(0, 0.006, len(ts)))
        for at, base in zip(ts, level, strict=True):
            atm = 0.48 + (base - 0.48) * np.exp(-tenors / 60)
            parts.append(
                pl.DataFrame(
                    {
                        "underlying": coin,
                        "ts": at,
                        "tenor_days": tenors,
                        "atm_vol": atm,
                        "risk_reversal_25": -0.05 * np.exp(-tenors / 50) + 0.01 + (base - 0.45) * 0.2,
                        "butterfly_25": 0.012 + 0.00006 * tenors,
                    }
                )
            )
    return pl.concat(parts)


def _spot_vol(names: list[str], underlyings: tuple[str, ...]) -> pl.DataFrame:
    rows = [
        (name, coin, s, v, pnl, pnl / SPOTS[coin])
        for name in (names[0], names[-1])
        for coin in underlyings
        for s in (-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3)
        for v in (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)
        for pnl in [(-2.5e6 * s * s - 350_000 * v) * (1.0 if name == names[0] else 0.3) + 20_000 * s]
    ]
    columns = ["policy", "underlying", "spot_shock", "vol_shock", "pnl_usd", "pnl_coin"]
    return pl.DataFrame(rows, schema=columns, orient="row")


@pytest.fixture(scope="session")
def make_result() -> ResultFactory:
    """Build a backtest of `n` six-hourly steps."""

    def build(
        n: int = 217, underlyings: tuple[str, ...] = ("BTC", "ETH"), **changes: object
    ) -> BacktestResult:
        ts = _times(n)
        rng = np.random.default_rng(11)
        surfaces = pl.concat(
            pl.DataFrame(
                {
                    "ts": ts,
                    "underlying": coin,
                    "n_quotes": rng.integers(380, 520, n),
                    "rmse_vol": 0.006 + 0.001 * np.abs(rng.normal(size=n)),
                    "inside_bid_ask": np.clip(0.92 + 0.02 * rng.normal(size=n), 0, 1),
                    "certificate_valid": True,
                    "iterations": rng.integers(8, 30, n),
                }
            )
            for coin in underlyings
        )
        tenor_names = ["0-2d", "2-8d", "8-30d", "30-90d", "90-365d"]
        by_tenor = pl.concat(
            pl.DataFrame(
                {
                    "underlying": coin,
                    "tenor": tenor_names,
                    "inside_bid_ask": [0.78, 0.89, 0.94, 0.95, 0.93],
                    "rmse_vol": [0.019, 0.009, 0.005, 0.004, 0.005],
                    "n_quotes": [9000, 21000, 30000, 28000, 12000],
                }
            )
            for coin in underlyings
        )
        values: dict[str, object] = {
            "name": "Short strangle ladder",
            "underlyings": underlyings,
            "numeraire": "coin",
            "start_ns": int(ts[0].timestamp()) * 10**9,
            "end_ns": int(ts[-1].timestamp()) * 10**9,
            "n_snapshots": n * len(underlyings),
            "policies": tuple(_policy(name, n, underlyings, seed=7) for name in HEDGES),
            "surfaces": surfaces,
            "fit_by_tenor": by_tenor,
            "smiles": _smiles(underlyings, ts[-1]),
            "term": _term(ts, underlyings),
            "drops": pl.DataFrame(
                {
                    "reason": ["no_quote", "outside_bounds", "stale", "crossed", "duplicate"],
                    "count": [18_230, 2_411, 640, 37, 2],
                }
            ),
            "stages": pl.DataFrame(
                {
                    "stage": ["read", "fit", "risk", "plan", "ledger", "attribution"],
                    "seconds": [1.9, 11.2, 2.3, 4.1, 1.4, 1.1],
                    "share": [0.086, 0.509, 0.105, 0.186, 0.064, 0.05],
                }
            ),
            "spot_vol": _spot_vol(list(HEDGES), underlyings),
            "assumptions": (
                "Settlement price: mean of the index over the last half hour is not recorded, the last index "
                "before expiry stands in for it.",
                "Funding: recorded 8-hour rates, held constant between snapshots.",
            ),
            "warnings": ("2 snapshots carry no future; their forwards come from put-call parity.",),
            "config": {"policies": ["none", "delta"], "band": {"delta_coin": 0.4}, "interval_h": 6},
            "version": "0.1.0",
            "seed": 7,
        }
        return BacktestResult(**(values | changes))  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def make_view(make_result) -> Callable[..., FitView]:
    """Build the view of a fit of six expiries; some quotes are one-sided, one in each is rejected."""

    def build(**changes: object) -> FitView:
        made = make_result(2, underlyings=("BTC",))
        smiles = made.smiles.with_columns(
            rejected=pl.int_range(pl.len()) % 31 == 5, backbone_iv=pl.col("model_iv") - 0.01
        )
        expiries = smiles.group_by("expiry").agg(tenor_days=365.0 * pl.col("tau").first()).sort("tenor_days")
        n = expiries.height
        vols = pl.Series("atm_vol", np.linspace(0.5, 0.4, n))
        values: dict[str, object] = {
            "underlying": "BTC",
            "ts_ns": made.end_ns,
            "model": "flexible",
            "verdict": "Certified free of butterfly and calendar arbitrage; proven; 0.01 % backbone's share.",
            "certified": True,
            "facts": (("quotes fitted", "180 in 6 expiries"), ("rmse, weighted", "0.41 vol points")),
            "certificate": (("certificate", "valid"), ("steepest wing", "0.245 (Lee's bound: 2)")),
            "notes": ("07 Mar 2026 has no fit of its own: 1 two-sided quote",),
            "by_tenor": made.fit_by_tenor.with_columns(median_error_vol=pl.lit(0.003)),
            "by_expiry": expiries.with_columns(
                fit=pl.lit("flexible"),
                n_quotes=pl.lit(30),
                n_bounds=pl.lit(3),
                n_rejected=pl.lit(1),
                inside_bid_ask=pl.lit(0.98),
                rmse_vol=pl.lit(0.004),
            ),
            "forwards": expiries.with_columns(
                forward=pl.lit(92_100.0),
                std_error=pl.lit(9.21),
                method=pl.lit("parity"),
                n_pairs=pl.lit(12),
                n_venues=pl.lit(1),
            ),
            "worst": pl.DataFrame(
                {
                    "instrument_name": ["<script>X</script>"],
                    "venue": ["deribit"],
                    "bid_iv": [0.41],
                    "ask_iv": [0.43],
                    "fitted_iv": [0.45],
                    "error_vol": [0.03],
                }
            ),
            "drops": made.drops,
            "smiles": smiles,
            "term": expiries.with_columns(
                vols,
                (vols - 0.01).alias("forward_vol"),
                underlying=pl.lit("BTC"),
                risk_reversal_25=pl.lit(-0.05),
                butterfly_25=pl.lit(0.012),
            ),
        }
        return FitView(**(values | changes))  # type: ignore[arg-type]

    return build
