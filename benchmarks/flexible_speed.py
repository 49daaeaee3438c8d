"""Speed of the flexible surface fit: cold and warm, synthetic and recorded, and where the time goes.

Prints JSON. Times are CPU milliseconds of `fit_flexible` with its proof, on quotes and a backbone that are
ready; per case the median of some turns, then median, 99 % quantile and largest over the cases. Turns of
cold and warm fits alternate. Warm fits start from the fit before the quotes changed: all vols moved by
2 basis points of noise (`all`), one expiry's vols 20 basis points higher (`one`), five quotes gone (`fewer`).
`first_call_s` is the wall time of the first fit of the process, which compiles where numba's cache is empty.
The recorded part needs the Deribit chains (IVHEDGE_DATA, default ../shared/data).

``python benchmarks/flexible_speed.py [synthetic surfaces] [recorded snapshots per asset] [turns]``
"""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ivhedge.core.types import BoolArray, IntArray
from ivhedge.market import clean_chain, quote_vols, read_chains
from ivhedge.surface import EssviSurface, PackedQuotes, calibrate_essvi, fit_surface
from ivhedge.surface.flexible import FlexibleFit, FlexibleQuotes, fit_flexible, flexible_quotes
from ivhedge.surface.models.truth import TRUE_BATES, TruthSettings, truth_quotes

Case = tuple[FlexibleQuotes, EssviSurface]
START = 1_764_547_200_000_000_000
NS_PER_YEAR = 365 * 86_400 * 10**9
PARTS = (
    "kernel_basis", "projected_weights", "workspace", "beginning", "judge", "judge_again", "assemble_program",
    "solve", "CalendarSearch", "_solve_with_cuts", "_law", "_proven", "objective",
)  # fmt: skip


def synthetic(count: int) -> Iterator[Case]:
    """Twelve expiries of 60 strikes from a known surface, 1 % of the quotes wrong."""
    for seed in range(count):
        settings = TruthSettings(bad_share=0.01)
        truth = truth_quotes(np.random.default_rng(seed), TRUE_BATES, settings)
        given = truth.quotes
        packed = PackedQuotes(
            log_moneyness=given.log_moneyness,
            vol=given.mid_vol,
            weight=1.0 / given.half_spread,
            offsets=given.offsets,
            taus=given.taus,
        )
        params = calibrate_essvi(packed).params
        expiries = START + np.rint(given.taus * NS_PER_YEAR).astype(np.int64)
        surface = EssviSurface(
            underlying="SYN",
            ts_ns=START,
            expiries=expiries,
            taus=given.taus,
            theta=params[:, 0],
            rho=params[:, 1],
            psi=params[:, 2],
            forwards=np.ones(given.taus.size),
        )
        quotes = FlexibleQuotes(
            log_moneyness=given.log_moneyness,
            bid_vol=given.mid_vol - given.half_spread,
            ask_vol=given.mid_vol + given.half_spread,
            mid_vol=given.mid_vol,
            offsets=given.offsets,
            expiries=expiries,
            taus=given.taus,
        )
        yield quotes, surface


def recorded(root: Path, count: int) -> Iterator[Case]:
    """Snapshots spread over the recording."""
    for coin in ("BTC", "ETH"):
        chains = read_chains(root / coin)
        times = chains["ts"].unique().sort()
        for ts in times.gather(np.linspace(0, times.len() - 1, count).astype(int).tolist()):
            chain = chains.filter(pl.col("ts") == ts)
            base = fit_surface(chain)
            yield flexible_quotes(quote_vols(clean_chain(chain).chain, base.forwards)), base.surface


def owner(quotes: FlexibleQuotes) -> IntArray:
    """Expiry number of each row."""
    return np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))


def shifted(quotes: FlexibleQuotes, by: np.ndarray) -> FlexibleQuotes:
    """The same strikes with other vols."""
    return replace(
        quotes, bid_vol=quotes.bid_vol + by, ask_vol=quotes.ask_vol + by, mid_vol=quotes.mid_vol + by
    )


def without(quotes: FlexibleQuotes, dropped: BoolArray) -> FlexibleQuotes:
    """The quotes that are not dropped."""
    kept = owner(quotes)[~dropped]
    return FlexibleQuotes(
        log_moneyness=quotes.log_moneyness[~dropped],
        bid_vol=quotes.bid_vol[~dropped],
        ask_vol=quotes.ask_vol[~dropped],
        mid_vol=quotes.mid_vol[~dropped],
        offsets=np.searchsorted(kept, np.arange(quotes.taus.size + 1)),
        expiries=quotes.expiries,
        taus=quotes.taus,
    )


def changes(quotes: FlexibleQuotes, rng: np.random.Generator) -> dict[str, FlexibleQuotes]:
    """What arrives after a first fit."""
    size = quotes.mid_vol.size
    gone = np.zeros(size, dtype=np.bool_)
    gone[rng.choice(size, 5, replace=False)] = True
    return {
        "all": shifted(quotes, 2e-4 * rng.standard_normal(size)),
        "one": shifted(quotes, np.where(owner(quotes) == quotes.taus.size // 2, 2e-3, 0.0)),
        "fewer": without(quotes, gone),
    }


def timed(task: Callable[[], FlexibleFit]) -> tuple[float, FlexibleFit]:
    """CPU milliseconds of one call."""
    start = time.thread_time()
    result = task()
    return 1e3 * (time.thread_time() - start), result


@contextmanager
def stopwatches(spent: dict[str, float]) -> Iterator[None]:
    """Add the time of the parts of a fit to `spent`; parts may lie inside one another."""
    module: Any = sys.modules[fit_flexible.__module__]
    plain = {name: getattr(module, name) for name in PARTS if hasattr(module, name)}

    def watched(name: str) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            start = time.thread_time()
            result = plain[name](*args, **named)
            spent[name] += 1e3 * (time.thread_time() - start)
            return result

        return call

    for name in plain:
        setattr(module, name, watched(name))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(module, name, function)


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99 % quantile and largest."""
    levels = np.quantile(values, (0.5, 0.99, 1.0))
    return dict(zip(("p50", "p99", "max"), np.round(levels, 2).tolist(), strict=True))


def measured(cases: list[Case], turns: int) -> dict[str, object]:
    """Times of all cases."""
    times, steps, spent = defaultdict[str, list[float]](list), defaultdict[str, list[int]](list), []
    unproven = 0
    for number, (quotes, surface) in enumerate(cases):
        first = fit_flexible(quotes, surface)
        unproven += not first.proof.proven
        tasks = {"cold": (quotes, None)}
        for name, changed in changes(quotes, np.random.default_rng(number)).items():
            tasks[f"warm_{name}"] = changed, first
        turn_times = defaultdict[str, list[float]](list)
        for _ in range(turns):
            for name, (given, start) in tasks.items():
                spell, found = timed(lambda: fit_flexible(given, surface, start=start))  # noqa: B023
                turn_times[name].append(spell)
        for name, (given, start) in tasks.items():
            found = fit_flexible(given, surface, start=start)
            times[name].append(float(np.median(turn_times[name])))
            steps[name].append(sum(found.iterations))
        parts = defaultdict[str, float](float)
        with stopwatches(parts):
            fit_flexible(quotes, surface)
        spent.append(parts)
    names = sorted({name for parts in spent for name in parts})
    return {
        "cases": len(cases),
        "quotes_p50": float(np.median([q.log_moneyness.size for q, _ in cases])),
        "cpu_ms": {name: spread(values) for name, values in times.items()},
        "newton_steps_p50": {name: float(np.median(values)) for name, values in steps.items()},
        "cold_parts_ms_p50": {n: round(float(np.median([p[n] for p in spent])), 2) for n in names},
        "not_proven": unproven,
    }


def main() -> None:
    """Measure and print."""
    given = [int(value) for value in sys.argv[1:]]
    n_synthetic, n_recorded, turns = (*given, *(10, 10, 5)[len(given) :])
    made = list(synthetic(n_synthetic))
    start = time.perf_counter()
    fit_flexible(*made[0])
    out: dict[str, object] = {"first_call_s": round(time.perf_counter() - start, 2)}
    out["synthetic"] = measured(made, turns)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if root.is_dir():
        out["recorded"] = measured(list(recorded(root, n_recorded)), turns)
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
