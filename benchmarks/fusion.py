"""Venue fusion against the truth of two simulated markets: biases, intervals, lost venues, staleness.

Run: `python benchmarks/fusion.py [--seeds 20] [--first 0] [--part note|drop|stale|market|leadership|pseudo]`.
JSON on stdout. Intervals (95 %) are of a bootstrap over seeds, or over blocks of two recorded snapshots.

`note` is the design of the venue study: five venues on one eSSVI surface with level and slope biases, five
contaminations. `market` is `ivhedge.market.simulator` (Bates smiles, own biases, ticks, stale quotes).
`pseudo` derives *pseudo-venues* from recorded chains of one venue: shifted, thinned and re-noised copies of
it, no recording of several venues.
"""

import argparse
import json
import sys
import time

import numpy as np

from fusion_market import leadership, market, pseudo
from fusion_truth import (
    ANCHORED,
    CASES,
    LEVEL,
    SLOPE,
    TIGHT,
    VENUES,
    bias_errors,
    draw,
    error_bp,
    gain_band,
    inside_band,
    later,
    max_mean,
    pooled,
    rms,
    rmse_band,
    tape,
    walked,
)
from ivhedge.surface.fusion import FusedSurface, StaleDetector, fuse


def note(seeds: range) -> dict:
    """The venue study: biases, intervals, surface error, with and without anchor."""
    return {case: _note_case(setting, seeds) for case, setting in CASES.items()}


def _note_case(setting: tuple[float, float, bool], seeds: range) -> dict:
    level, slope, clock = [], [], []
    scores: dict[str, list[list[float]]] = {"venue": [], "venue_expiry": [], "consensus": []}
    surface: dict[str, list[float]] = {"fused": [], "pooled": [], "best_single": [], "free": []}
    for seed in seeds:
        rows = draw(seed, *setting)
        quotes = rows.quotes()
        began = time.thread_time()
        fused = fuse(quotes, settings=ANCHORED)
        clock.append(time.thread_time() - began)
        a, b, s, e = bias_errors(fused.model, (LEVEL, SLOPE))
        level.append(a)
        slope.append(b)
        scores["venue"].append(s)
        scores["venue_expiry"].append(e)
        free = fuse(quotes)
        w = free.model.state.reference
        scores["consensus"].append(bias_errors(free.model, (LEVEL - w @ LEVEL, SLOPE - w @ SLOPE))[2])
        surface["fused"].append(error_bp(fused.fit.surface))
        surface["free"].append(error_bp(free.fit.surface))
        surface["pooled"].append(error_bp(pooled(quotes)))
        # Best by the truth, among those that quote everything: only the anchor does.
        surface["best_single"].append(error_bp(pooled(rows.pick(rows.venue == 0).quotes())))
    return {
        "level_rmse_bp": rms(level),
        "slope_rmse_bp": rms(slope),
        "tight_level": rmse_band([x[TIGHT] for x in level]),
        "tight_slope": rmse_band([x[TIGHT] for x in slope]),
        "coverage": {name: inside_band(x) for name, x in scores.items()},
        "surface_rmse_bp": {name: round(float(np.mean(x)), 2) for name, x in surface.items()},
        "gain_over_pooled": gain_band(surface["fused"], surface["pooled"]),
        "gain_over_single": gain_band(surface["fused"], surface["best_single"]),
        "cpu_ms": round(1e3 * float(np.median(clock)), 1),
    }


WARM = 5
OUTAGE_S = (1, 60, 600, 3600, 10_800)


def warmed(seed: int, setting: tuple[float, float, bool]) -> FusedSurface:
    """Five snapshots a minute apart, all venues present."""
    fused = None
    for number in range(WARM):
        rows = draw(10_000 * (number + 1) + seed, *setting)
        quotes = later(rows, 60.0 * number)
        fused = fuse(quotes, None if fused is None else fused.model, settings=ANCHORED)
    assert fused is not None
    return fused


def drop(seeds: range) -> dict:
    """Loss of each venue: how far the surface moves, and what an outage of the anchor costs.

    New quotes: every quote's error is drawn anew between the snapshots, so part of a move is that noise.
    Standing quotes: those of the others stay as they were. In the outage all vols walk while it lasts.
    """
    moves = {gone: {str(s): [] for s in (1, 60)} for gone in VENUES}
    standing: dict[str, list[float]] = {gone: [] for gone in VENUES}
    began = 60.0 * (WARM - 1)
    for seed in seeds:
        warm = warmed(seed, CASES["none"])
        fresh, last = draw(seed, 0.0, 0.0, False), draw(10_000 * WARM + seed, 0.0, 0.0, False)
        for v, gone in enumerate(VENUES):
            for seconds in (1, 60):
                full, without = (
                    fuse(later(rows, began + seconds), warm.model, settings=ANCHORED).fit.surface
                    for rows in (fresh, fresh.pick(fresh.venue != v))
                )
                moves[gone][str(seconds)].append(error_bp(without, 12, full))
            left = later(last.pick(last.venue != v), began + 1.0)
            without = fuse(left, warm.model, settings=ANCHORED).fit.surface
            standing[gone].append(error_bp(without, 12, warm.fit.surface))
    outage = {}
    for case, setting in CASES.items():
        found: dict[str, list[float]] = {f"fused {s} s": [] for s in OUTAGE_S}
        found |= {"pooled": [], "best_single": []}
        for seed in seeds:
            warm = warmed(seed, setting)
            for seconds in OUTAGE_S:
                factor = walked(np.random.default_rng([seed, seconds]), seconds)
                rows = draw(seed, *setting, factor)
                left = rows.pick(rows.venue != 0)
                fused = fuse(later(left, began + seconds), warm.model, settings=ANCHORED)
                found[f"fused {seconds} s"].append(error_bp(fused.fit.surface, 9, factor=factor))
            found["pooled"].append(error_bp(pooled(left.quotes()), 9, factor=factor))
            alone = (pooled(left.pick(left.venue == v).quotes()) for v in (1, 2))
            found["best_single"].append(min(error_bp(one, 9, factor=factor) for one in alone))
        mean: dict = {name: round(float(np.mean(x)), 2) for name, x in found.items()}
        mean |= {
            f"gain over {name} {s} s": gain_band(found[f"fused {s} s"], found[name])
            for s in OUTAGE_S
            for name in ("pooled", "best_single")
        }
        outage[case] = mean
    return {
        "move_bp_new_quotes_mean_max": {
            gone: {s: max_mean(x) for s, x in by.items()} for gone, by in moves.items()
        },
        "move_bp_standing_quotes_mean_max": {gone: max_mean(x) for gone, x in standing.items()},
        "anchor_outage_surface_rmse_bp": outage,
    }


def stale(seeds: range) -> dict:
    """Delay of flags and false alarms on second-wise tapes: five minutes healthy, then one venue freezes."""
    out = {}
    start = 300
    for name, rate, jump in (
        ("busy", (0.5, 0.3, 0.3, 0.2, 0.1), 0.0),
        ("quiet", (0.05, 0.03, 0.03, 0.02, 0.01), 0.0),
        ("very quiet", (0.01, 0.005, 0.005, 0.003, 0.002), 0.0),
        ("very quiet, then 2 vol points", (0.01, 0.005, 0.005, 0.003, 0.002), 0.02),
        ("very quiet, then half a vol point", (0.01, 0.005, 0.005, 0.003, 0.002), 0.005),
    ):
        delays: list[float] = []
        missed = 0
        false = np.zeros(2)
        healthy = np.zeros(2)
        for seed in seeds:
            shots = tape(np.random.default_rng([seed, 77]), start + 60, start, renew=rate, jump=jump)
            gone = seed % 5
            detector, at = StaleDetector(), None
            for t, shot in enumerate(shots):
                if t >= start:
                    shot[gone] = shots[start - 1][gone]
                snapshot = {VENUES[v]: dict(enumerate(shot[v].tolist())) for v in range(5)}
                detector.update(t * 1_000_000_000, snapshot)
                flagged = detector.flagged()
                phase = int(t >= start)
                false[phase] += sum(1 for v in flagged if not phase or v != VENUES[gone])
                healthy[phase] += 5 - phase
                if at is None and t >= start and VENUES[gone] in flagged:
                    at = t - start + 1
            missed += at is None
            delays += [] if at is None else [float(at)]
        out[name] = {
            "flagged": len(delays),
            "missed_in_60_s": missed,
            "delay_s_median": float(np.median(delays)) if delays else None,
            "delay_s_max": max(delays, default=None),
            "within_10_s": round(sum(d <= 10.0 for d in delays) / len(seeds), 3),
            "false_flagged_share_before": round(float(false[0] / healthy[0]), 6),
            "healthy_venue_hours": round(float(healthy[0]) / 3600.0, 2),
            "false_flagged_share_after": round(float(false[1] / healthy[1]), 5),
        }
    return out


PARTS = {
    "note": note,
    "drop": drop,
    "stale": stale,
    "market": market,
    "leadership": leadership,
    "pseudo": pseudo,
}


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--part", choices=sorted(PARTS), action="append")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.seeds)
    result = {"seeds": str(seeds), **{part: PARTS[part](seeds) for part in args.part or PARTS}}
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
