"""Parts of `fusion.py` on the simulated market, on known leaders, and on recorded chains."""

import os
from pathlib import Path

import numpy as np
import polars as pl

from fusion_truth import BP, HALF, LEVEL, SLOPE, VENUES, bias_errors, gain_band, inside_band, rms, rmse_band
from ivhedge.core.errors import CalibrationError
from ivhedge.market import read_chains
from ivhedge.market.simulator import SimulationConfig, simulate_market
from ivhedge.surface import EssviSurface, fit_surface
from ivhedge.surface.fusion import (
    FusionSettings,
    VenueQuotes,
    fuse,
    information_share,
    lead_lag,
    venue_quotes,
)


def market(seeds: range) -> dict:
    """The simulated market with its own biases, three snapshots six hours apart, the memory carried on."""
    level, slope, forward = [], [], []
    scores: list[list[float]] = []
    by_expiry: list[list[float]] = []
    surface: dict[str, list[float]] = {"fused": [], "pooled": [], "anchor_only": []}
    names: tuple[str, ...] = ()
    for seed in seeds:
        simulated = simulate_market(SimulationConfig(n_snapshots=3), np.random.default_rng(seed))
        model, gaps = None, {name: [] for name in surface}
        for shot in simulated.snapshots():
            if shot.chain["underlying"][0] != "BTC":
                continue
            fused = fuse(shot.chain, model, settings=FusionSettings(anchor="aurora"))
            model = fused.model
            here = simulated.truth.filter(
                (pl.col("ts") == shot.chain["ts"][0]) & (pl.col("underlying") == "BTC")
            )
            alone = fit_surface(shot.chain.filter(pl.col("venue") == "aurora"))
            for name, fit in (
                ("fused", fused.fit),
                ("pooled", fit_surface(shot.chain)),
                ("anchor_only", alone),
            ):
                gaps[name].append(truth_gap(fit.surface, here))
        assert model is not None
        names = model.venues
        last = simulated.venues.filter(pl.col("ts") == pl.col("ts").max()).sort("venue")
        assert tuple(last["venue"]) == names
        right = (last["level_bias"].to_numpy(), last["slope_bias"].to_numpy())
        a, b, s, e = bias_errors(model, right)
        level.append(a)
        slope.append(b)
        scores.append(s)
        by_expiry.append(e)
        off = model.forward_bias - last["index_basis"].to_numpy()[:, None]
        forward.append(BP * off[np.isfinite(off)])
        for name, x in gaps.items():
            surface[name].append(float(np.mean(x)))
    tight = [names.index(name) for name in ("borealis", "cirrus")]
    return {
        "venues": list(names),
        "level_rmse_bp": rms(level),
        "slope_rmse_bp": rms(slope),
        "tight_level": rmse_band([x[tight] for x in level]),
        "tight_slope": rmse_band([x[tight] for x in slope]),
        "coverage": {"venue": inside_band(scores), "venue_expiry": inside_band(by_expiry)},
        "forward_bias_bp": rmse_band(forward),
        "forward_bias_median_abs_bp": round(float(np.median(np.abs(np.concatenate(forward)))), 2),
        "surface_median_abs_error_bp": {name: round(float(np.mean(x)), 2) for name, x in surface.items()},
        "gain_over_pooled": gain_band(surface["fused"], surface["pooled"]),
        "gain_over_single": gain_band(surface["fused"], surface["anchor_only"]),
    }


def truth_gap(surface: EssviSurface, truth: pl.DataFrame) -> float:
    """Median absolute error in vol within two standard deviations, expiries of three days and more, bp."""
    tau = (
        (truth["expiry"].dt.timestamp("ns") - truth["ts"].dt.timestamp("ns")).to_numpy() / 1e9 / 31_536_000.0
    )
    k = np.log(truth["strike"].to_numpy() / truth["true_forward"].to_numpy())
    vol = truth["true_iv"].fill_null(np.nan).to_numpy()
    near = np.isfinite(vol) & (np.abs(k) < 2.0 * vol * np.sqrt(tau)) & (tau > 3.0 / 365.0)
    return BP * float(np.median(np.abs(surface.implied_vol(k[near], tau[near]) - vol[near])))


def leadership(seeds: range) -> dict:
    """A leader and two followers by known lags on one common walk, observed at random times."""
    found: dict[str, list[float]] = {"0.4": [], "1.5": []}
    covered: list[bool] = []
    shares = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 5])
        fine = np.arange(0.0, 1800.0, 0.05)
        walk = np.cumsum(1e-4 * rng.standard_normal(fine.size))
        series = {}
        for lag in (0.0, 0.4, 1.5):
            times = np.sort(rng.uniform(5.0, 1795.0, 1800))
            noise = 5e-5 * rng.standard_normal(times.size)
            series[lag] = (times, np.interp(times - lag, fine, walk) + noise)
        grid = np.arange(-3.0, 3.01, 0.1)
        for lag in (0.4, 1.5):
            got = lead_lag(*series[0.0], *series[lag], lags_s=grid)
            found[str(lag)].append(got.lag_s - lag)
            covered.append(abs(got.lag_s - lag) < 1.96 * got.std_error)
        seconds = np.arange(10.0, 1790.0, 1.0)
        levels = np.stack(
            [
                np.interp(seconds - lag, fine, walk) + 5e-5 * rng.standard_normal(seconds.size)
                for lag in series
            ],
            1,
        )
        share = information_share(["leader", "near", "far"], levels)
        shares.append(np.stack((share.lower, share.upper, share.weight)))
    mean = np.mean(shares, axis=0)
    return {
        "lag_rmse_s": {lag: round(float(np.sqrt(np.mean(np.square(x)))), 3) for lag, x in found.items()},
        "lag_coverage": round(float(np.mean(covered)), 3),
        "hasbrouck_lower": mean[0].round(3).tolist(),
        "hasbrouck_upper": mean[1].round(3).tolist(),
        "gonzalo_granger": mean[2].round(3).tolist(),
    }


def pseudo(seeds: range) -> dict:
    """Pseudo-venues derived from recorded chains of ONE venue; says nothing of real venues' biases.

    `seeds` snapshots spread over March to May 2026, each on its own. The chains are as recorded: their own
    noise is common to all pseudo-venues.
    """
    root = Path(os.environ.get("IVHEDGE_DATA", "../shared/data")) / "deribit_chains" / "BTC"
    paths = [root / f"2026-{month:02d}.parquet" for month in (3, 4, 5)]
    if not all(path.exists() for path in paths):
        return {"skipped": f"no recorded chains at {root}; set IVHEDGE_DATA"}
    level, slope, scores, failed, number = [], [], [], [], 0
    for path in paths:
        chains = read_chains(path)
        stamps = chains["ts"].unique().sort()
        for ts in stamps[:: max(1, len(stamps) // -(-len(seeds) // 3))][: -(-len(seeds) // 3)]:
            own = venue_quotes(chains.filter(pl.col("ts") == ts))
            number += 1
            try:
                model = fuse(
                    _three_venues(own, np.random.default_rng([number, 9])),
                    settings=FusionSettings(anchor="pseudo-anchor"),
                ).model
            except CalibrationError as exc:
                failed.append(f"{ts}: {exc}"[:120])
                continue
            a, b, s, _ = bias_errors(model, (LEVEL[:3], SLOPE[:3]))
            level.append(a)
            slope.append(b)
            scores.append(s)
    return {
        "label": "pseudo-venues derived from Deribit chains: no recording of several venues",
        "n_snapshots": len(level),
        "failed": failed,
        "tight_level": rmse_band([x[1:] for x in level], block=2),
        "tight_slope": rmse_band([x[1:] for x in slope], block=2),
        "coverage_venue": inside_band(scores, block=2),
    }


def _three_venues(own: VenueQuotes, rng: np.random.Generator) -> VenueQuotes:
    z = np.clip(own.standard_moneyness, -3.0, 3.0)
    parts = []
    for v in range(3):
        keep = np.flatnonzero(rng.random(len(own)) < (1.0, 0.6, 0.6)[v])
        half = np.maximum(own.half_spread[keep], HALF[v])
        noise = 0.0 if v == 0 else 0.35 * half * rng.standard_normal(keep.size)
        vol = own.vol[keep] + LEVEL[v] + SLOPE[v] * z[keep] + noise
        half = np.minimum(half, 0.9 * vol)
        parts.append(
            (np.full(keep.size, v), own.expiry_ns[own.expiry[keep]], own.log_moneyness[keep], vol, half)
        )
    venue, expiry, k, vol, half = (np.concatenate(c) for c in zip(*parts, strict=True))
    return VenueQuotes.from_arrays(
        ts_ns=own.ts_ns,
        underlying="BTC",
        venue=[f"pseudo-{VENUES[v]}" for v in venue],
        expiry_ns=expiry,
        log_moneyness=k,
        bid_vol=vol - half,
        ask_vol=vol + half,
    )
