"""The flexible surface against known truth, and wings it was not shown.

Prints JSON: rmse to a known Heston and Bates surface by share of bad quotes, with how often the backbone's
share was raised; coverage of the truth by 95 % error bars; jitter of refits to new mids of one truth;
recorded quotes of 5 to 10 delta predicted without any below 10 (needs the Deribit chains, IVHEDGE_DATA,
default ../shared/data).

``python benchmarks/flexible_truth.py [first seed] [seeds] [snapshots per asset]``
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import ndtr

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.surface import EssviSurface, PackedQuotes, calibrate_essvi, fit_surface
from ivhedge.surface.flexible import FlexibleQuotes, FlexibleSettings, fit_flexible, flexible_quotes
from ivhedge.surface.flexible.error_bars import error_bars
from ivhedge.surface.models.truth import (
    TRUE_BATES,
    TRUE_HESTON,
    TruthQuotes,
    TruthSettings,
    truth_quotes,
)

TS_NS = 1_700_000_000_000_000_000
YEAR_NS = 365 * 86_400_000_000_000
MODELS = {"heston": TRUE_HESTON, "bates": TRUE_BATES}
SETTINGS = FlexibleSettings()
KINDS = {
    "clean": TruthSettings(mid_noise=0.0, tick=0.0),
    "noisy": TruthSettings(),
    "5 % bad": TruthSettings(bad_share=0.05),
    "20 % bad": TruthSettings(bad_share=0.2),
    "30 % bad": TruthSettings(bad_share=0.3),
}


def bands(truth: TruthQuotes, tick: float) -> tuple[FlexibleQuotes, BoolArray]:
    """The bands that `flexible_quotes` would take, and which rows of the truth they are."""
    some = np.isfinite(truth.bid_vol) | np.isfinite(truth.ask_vol)
    half = 0.5 * (truth.ask_vol - truth.bid_vol)
    pulled = truth.two_sided & (truth.bid_coin > 1.5 * tick) & (half <= 0.5 * truth.mid_vol)
    taus, counts = np.unique(truth.tau[some], return_counts=True)
    quotes = FlexibleQuotes(
        log_moneyness=truth.log_moneyness[some],
        bid_vol=truth.bid_vol[some],
        ask_vol=truth.ask_vol[some],
        mid_vol=np.where(pulled, 0.5 * (truth.bid_vol + truth.ask_vol), np.nan)[some],
        offsets=np.concatenate(([0], np.cumsum(counts))),
        expiries=(taus * YEAR_NS).astype(np.int64) + TS_NS,
        taus=taus,
    )
    return quotes, some


def backbone(quotes: FlexibleQuotes) -> EssviSurface:
    """A robust eSSVI surface of the mids."""
    pulled = np.isfinite(quotes.mid_vol)
    counts = np.bincount(owner(quotes)[pulled], minlength=quotes.taus.size)
    half = 0.5 * (quotes.ask_vol - quotes.bid_vol)[pulled]
    packed = PackedQuotes(
        log_moneyness=quotes.log_moneyness[pulled],
        vol=quotes.mid_vol[pulled],
        weight=1.0 / np.maximum(half, 0.001),
        offsets=np.concatenate(([0], np.cumsum(counts))),
        taus=quotes.taus,
    )
    theta, rho, psi = calibrate_essvi(packed).params.T
    return EssviSurface(
        underlying="BTC", ts_ns=TS_NS, expiries=quotes.expiries, taus=quotes.taus,
        theta=theta, rho=rho, psi=psi, forwards=np.ones(quotes.taus.size), index=1.0,
    )  # fmt: skip


def owner(quotes: FlexibleQuotes) -> FloatArray:
    """Expiry number of each row."""
    return np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))


def against_truth(model: str, kind: str, seeds: range) -> dict[str, object]:
    """Errors and coverage of one model and kind of quotes, over seeds."""
    rmse, rmse_least, covered, covered_least, raised = [], [], [], [], 0
    for seed in seeds:
        truth = truth_quotes(np.random.default_rng(seed), MODELS[model], KINDS[kind])
        quotes, some = bands(truth, KINDS[kind].tick)
        fit = fit_flexible(quotes, backbone(quotes), SETTINGS)
        two = truth.two_sided[some]
        error = (fit.fitted_vol - truth.true_vol[some])[two]
        inside = np.abs(error) <= 1.96 * error_bars(quotes, fit, SETTINGS)[two]
        rmse.append(100.0 * float(np.sqrt(np.mean(error**2))))
        covered.append(inside)
        if fit.mix > 10.0 * SETTINGS.mix:
            raised += 1
        else:
            rmse_least.append(rmse[-1])
            covered_least.append(inside)
    return {
        "rmse_vol_points_mean": round(float(np.mean(rmse)), 3),
        "rmse_vol_points_max": round(float(np.max(rmse)), 3),
        "coverage_95": round(float(np.concatenate(covered).mean()), 4),
        "fits_with_raised_mix": f"{raised} of {len(seeds)}",
        "rmse_mean_of_others": round(float(np.mean(rmse_least)), 3) if rmse_least else None,
        "coverage_of_others": round(float(np.concatenate(covered_least).mean()), 4)
        if covered_least
        else None,
    }


def jitter(model: str, seeds: range) -> dict[str, float]:
    """Standard deviation of refitted vols over noises of the mids, in half-spreads."""
    vols = []
    for seed in seeds:
        truth = truth_quotes(np.random.default_rng(seed), MODELS[model], KINDS["noisy"])
        quotes, _ = bands(truth, KINDS["noisy"].tick)
        fit = fit_flexible(quotes, backbone(quotes), SETTINGS)
        vols.append(fit.surface.implied_vol(truth.log_moneyness, truth.tau))
    two = truth.two_sided
    half = 0.5 * (truth.ask_vol - truth.bid_vol)[two]
    ratio = np.std(vols, axis=0, ddof=1)[two] / half
    return {f"p{q}": round(float(np.percentile(ratio, q)), 3) for q in (50, 90, 99)}


def hidden_wings(root: Path, coin: str, count: int) -> dict[str, object]:
    """Two-sided quotes of 5 to 10 delta, predicted from those above, inside bid-ask; second half only."""
    chains = read_chains(root / coin)
    times = chains["ts"].unique().sort()
    at = np.linspace(times.len() // 2, times.len() - 1, count).astype(int)
    shares = []
    for ts in times.gather(at.tolist()):
        chain = chains.filter(pl.col("ts") == ts)
        base = fit_surface(chain)
        quotes = flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards))
        tau, k = quotes.taus[owner(quotes)], quotes.log_moneyness
        deviation = fit_flexible(quotes, base.surface, SETTINGS).surface.implied_vol(k, tau) * np.sqrt(tau)
        d1 = -k / deviation + 0.5 * deviation
        delta = ndtr(np.where(k >= 0.0, d1, -d1))
        hidden, two = delta < 0.10, np.isfinite(quotes.bid_vol) & np.isfinite(quotes.ask_vol)
        keep = ~hidden
        counts = [int(keep[quotes.rows(e)].sum()) for e in range(quotes.taus.size)]
        shown = FlexibleQuotes(
            log_moneyness=k[keep], bid_vol=quotes.bid_vol[keep], ask_vol=quotes.ask_vol[keep],
            mid_vol=quotes.mid_vol[keep], offsets=np.concatenate(([0], np.cumsum(counts))),
            expiries=quotes.expiries, taus=quotes.taus,
        )  # fmt: skip
        asked = hidden & (delta >= 0.05) & two
        vol = fit_flexible(shown, base.surface, SETTINGS).surface.implied_vol(k[asked], tau[asked])
        inside = (vol >= quotes.bid_vol[asked] - 1e-9) & (vol <= quotes.ask_vol[asked] + 1e-9)
        shares.append((int(inside.sum()), int(inside.size)))
    totals = np.array(shares)
    return {
        "quotes": int(totals[:, 1].sum()),
        "inside": round(float(totals[:, 0].sum() / totals[:, 1].sum()), 4),
        "interval_95": block_interval(totals),
    }


def block_interval(totals: FloatArray, block: int = 2, draws: int = 2000) -> list[float]:
    """Interval of a share from whole blocks of consecutive snapshots, drawn with replacement."""
    rng = np.random.default_rng(0)
    n = totals.shape[0]
    starts = rng.integers(0, max(n - block + 1, 1), (draws, -(-n // block)))
    rows = (starts[:, :, None] + np.arange(min(block, n))).reshape(draws, -1)[:, :n]
    drawn = totals[rows].sum(axis=1)
    return [round(float(v), 4) for v in np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))]


def main() -> None:
    """Measure and print."""
    given = [int(value) for value in sys.argv[1:]]
    first, n_seeds, count = (given + [10, 5, 12][len(given) :])[:3]
    seeds = range(first, first + n_seeds)
    out: dict[str, object] = {
        "truth": {m: {kind: against_truth(m, kind, seeds) for kind in KINDS} for m in MODELS},
        "jitter_in_half_spreads": {m: jitter(m, range(first, first + 2 * n_seeds)) for m in MODELS},
    }
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if root.is_dir():
        out["hidden_wings_5_10_delta"] = {coin: hidden_wings(root, coin, count) for coin in ("BTC", "ETH")}
    else:
        out["hidden_wings_5_10_delta"] = "skipped: recorded chains not found; set IVHEDGE_DATA"
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
