"""Factors of the recorded surfaces: estimated on the first half of the recording, judged on the second.

Prints JSON and needs the recorded Deribit chains (IVHEDGE_DATA, default ../shared/data). Every snapshot is
fitted with the backbone and read at constant tenors and standardised strikes. `--cache FILE` keeps the
fitted surfaces between runs.

`shares`: share of the vega-weighted squared vol changes per root day that k factors explain; `out` with
shapes of the first half on the steps of the second. `time_scaling`: variance over 24 hours over four times
that over 6 hours; 1 is a diffusion, below 1 noise or reversion. `covariance`: shrinkage, scales per day and
what the scales of the first half predict for the second. `betas`: ETH on BTC, see
`ivhedge.risk.factors.betas`. `books`: ten books of options opened at the start of each step of the second
half and revalued at its end. `vol` is the share of the squared profit that remains at the forwards found,
the smile staying at fixed standardised strikes, which the first k factors explain; `total` is the share of
the squared profit, spot and carry included, time value rolled off beforehand. Intervals: moving block
bootstrap, blocks of eight steps (two days), 90 %.

`risk`: profit of each book over each step of the second half over the standard deviation that the model
predicts at its start: standard deviation of that ratio (1 is right), and how often it is beyond 1.645 (10 %
for a normal one). `first_half` and `by_regime` are fixed at the split, `ewma` is estimated anew at each
step. `speed`: CPU time of the loadings of 200 legs.
"""

import argparse
import json
import os
import pickle
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from ivhedge.core import Instrument, InstrumentKind, Settlement, TickLadder, currency
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, NS_PER_YEAR, format_ns
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.market import read_chains
from ivhedge.pricing import black76_price
from ivhedge.risk.factors import (
    FactorFit,
    FactorKind,
    FactorModel,
    FactorSettings,
    Regime,
    VegaBeta,
    ewma_weights,
    explained_share,
    factor_loadings,
    factor_scores,
    fit_factors,
    panel_steps,
    principal_components,
    regime_rule,
    shrink_covariance,
    spot_beta,
    vega_beta,
    vega_weights,
)
from ivhedge.risk.panel import PanelStatus, SurfacePanel, build_panel, fit_history
from ivhedge.surface import VolSurface

SEED, BLOCK, RESAMPLES, HALF_LIFE = 20261122, 8, 1000, 15.0
COINS = ("BTC", "ETH")
# Legs as (tenor in days, standardised strike, contracts); off the panel's tenors on purpose.
BOOKS: dict[str, list[tuple[float, float, float]]] = {
    "short straddle 30d": [(30, -1e-9, -1), (30, 1e-9, -1)],
    "short strangle 21d": [(21, -0.7, -1), (21, 0.7, -1)],
    "long risk reversal 30d": [(30, -0.7, -1), (30, 0.7, 1)],
    "long butterfly 45d": [(45, -1.3, 1), (45, 1.3, 1), (45, -1e-9, -0.5), (45, 1e-9, -0.5)],
    "calendar 90d against 14d": [(90, -1e-9, 1), (90, 1e-9, 1), (14, -1e-9, -1), (14, 1e-9, -1)],
    "short straddle 5d": [(5, -1e-9, -1), (5, 1e-9, -1)],
    "long put 60d": [(60, -1.3, 1)],
    "short strangle 120d": [(120, -0.7, -1), (120, 0.7, -1)],
    "put spread 45d": [(45, -0.4, 1), (45, -1.3, -1)],
    "overwriter 14d 30d 60d": [(14, 0.7, -1), (30, 0.7, -1), (60, 0.7, -1)],
}
MODELS = {
    "pca_1": FactorSettings(kind=FactorKind.COMPONENTS, components=1),
    "pca_2": FactorSettings(kind=FactorKind.COMPONENTS, components=2),
    "pca_3": FactorSettings(kind=FactorKind.COMPONENTS, components=3),
    "pca_4": FactorSettings(kind=FactorKind.COMPONENTS, components=4),
    "pca_6": FactorSettings(kind=FactorKind.COMPONENTS, components=6),
    "pca_9": FactorSettings(kind=FactorKind.COMPONENTS, components=9),
    "named_4": FactorSettings(kind=FactorKind.NAMED),
    "tenor_9": FactorSettings(kind=FactorKind.TENOR),
}


def surfaces_of(
    root: Path, cache: Path | None
) -> tuple[dict[str, tuple[VolSurface, ...]], dict[str, object]]:
    """Fitted surfaces per coin, and what fitting cost."""
    if cache is not None and cache.is_file():
        return pickle.loads(cache.read_bytes()), {"from_cache": True}
    found, notes = {}, {}
    for coin in COINS:
        start = time.thread_time()
        chains = (
            chain
            for file in sorted((root / coin).glob("*.parquet"))
            for chain in read_chains(file).partition_by("ts", maintain_order=True)
        )
        history = fit_history(chains)
        found[coin] = history.surfaces
        notes[coin] = {
            "fitted": len(history.surfaces),
            "refused": len(history.refused),
            "cpu_ms_each": round(1e3 * (time.thread_time() - start) / max(len(history.surfaces), 1), 1),
        }
    if cache is not None:
        cache.write_bytes(pickle.dumps(found))
    return found, notes


def rounded(values: object, digits: int = 3) -> object:
    """Arrays as lists."""
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def drawn(n: int) -> np.ndarray:
    """Rows of the resamples."""
    rng = np.random.default_rng(SEED)
    starts = rng.integers(0, n - BLOCK + 1, size=(RESAMPLES, -(-n // BLOCK)))
    return (starts[:, :, None] + np.arange(BLOCK)).reshape(RESAMPLES, -1)[:, :n]


def shares(first: list[SurfacePanel], second: list[SurfacePanel]) -> dict[str, object]:
    """Explained shares and stability per coin."""
    early, late = panel_steps(first), panel_steps(second)
    whole = {}
    for coin in COINS:
        weights = vega_weights(early.tenor_days, early.nodes)
        a = early.vols[coin] / np.sqrt(early.days)[:, None, None]
        b = late.vols[coin] / np.sqrt(late.days)[:, None, None]
        components = principal_components(a, early.tenor_days, early.nodes, count=6)
        other = principal_components(b, early.tenor_days, early.nodes, count=6)
        both = principal_components(np.concatenate((a, b)), early.tenor_days, early.nodes, count=6)
        table: dict[str, object] = {
            "pca_cumulated_first_half": rounded(np.cumsum(components.share)),
            "pca_out": [round(explained_share(components.shapes[:k], b, weights), 3) for k in range(1, 7)],
            "pca_of_second_half_itself": rounded(np.cumsum(other.share)),
            "resembles": components.resembles,
            "angles_between_halves_degrees": rounded(both.angles, 1),
        }
        for name in ("named_4", "tenor_9"):
            fit = fit_factors(first, MODELS[name])
            shapes = tuple(f.shape for f in fit.model.factors if f.underlying == coin and f.shape is not None)
            table[name] = {
                "first": round(explained_share(shapes, a, weights), 3),
                "second": round(explained_share(shapes, b, weights), 3),
            }
        whole[coin] = table
    return whole


def time_scaling(panels: list[SurfacePanel]) -> dict[str, object]:
    """Variance over about 24 hours over four times that over about 6 hours, with intervals."""
    result: dict[str, object] = {}
    for panel in panels:
        values = np.column_stack((np.log(panel.spot), panel.atm_vols))
        one, four = np.diff(values, axis=0)[3:] ** 2, (values[4:] - values[:-4]) ** 2
        ratios = np.array(
            [four[rows].mean(axis=0) / (4 * one[rows].mean(axis=0)) for rows in drawn(len(four))]
        )
        result[panel.underlying] = {
            "columns": ["spot", *(f"atm_{days:g}d" for days in panel.tenor_days)],
            "ratio": rounded(four.mean(axis=0) / (4 * one.mean(axis=0)), 2),
            "interval_90": rounded(np.quantile(ratios, (0.05, 0.95), axis=0).T, 2),
        }
    return result


def covariance(first: list[SurfacePanel], second: list[SurfacePanel]) -> dict[str, object]:
    """Shrinkage, regimes, and standardised scores of the second half."""
    rule = regime_rule(first[0])
    settings = FactorSettings(regime=rule)
    fit = fit_factors(first, settings)
    late = panel_steps(second)
    later = fit_factors(second, settings)
    z = factor_scores(late, fit.model.factors) / np.sqrt(late.days)[:, None]
    scales = {
        regime.value: dict(zip(model.names, rounded(model.scales, 4), strict=True))
        for regime, model in fit.models.items()
    }
    by_state = np.where(
        later.stressed[:, None],
        fit.models.get(Regime.STRESSED, fit.model).scales,
        fit.models.get(Regime.CALM, fit.model).scales,
    )
    eigen = {r.value: float(np.linalg.eigvalsh(m.correlation)[0]) for r, m in fit.models.items()}
    return {
        "rule": {"enter_vol": round(rule.enter_vol, 4), "leave_vol": round(rule.leave_vol, 4)},
        "stressed_share": {"first": rounded(fit.stressed.mean()), "second": rounded(later.stressed.mean())},
        "intensity": {r.value: round(c.intensity, 4) for r, c in fit.covariances.items()},
        "effective_steps": {r.value: round(c.effective_steps, 1) for r, c in fit.covariances.items()},
        "least_eigenvalue": rounded(list(eigen.values()), 4),
        "scales_per_day": scales,
        "second_half_sd_over_predicted": {
            "factors": fit.model.names,
            "all": rounded(np.sqrt((z**2).mean(axis=0)) / fit.model.scales, 2),
            "by_regime": rounded(np.sqrt(((z / by_state) ** 2).mean(axis=0)), 2),
        },
        "correlation_all": rounded(fit.model.correlation, 2),
    }


def beta_table(found: VegaBeta) -> dict[str, object]:
    """One set of betas as plain numbers."""
    return {
        "tenor_days": rounded(np.nan_to_num(found.tenor_days)),
        "beta_all": rounded(found.beta),
        "interval_90": rounded(np.column_stack((found.beta_lower, found.beta_upper))),
        "beta_first_half": rounded(found.beta_first),
        "correlation": rounded(found.correlation),
        "r2_first_half": rounded(found.r2_in),
        "r2_out": rounded(found.r2_out),
        "r2_out_interval_90": rounded(np.column_stack((found.r2_out_lower, found.r2_out_upper))),
        "gain_over_beta_1": rounded(found.gain_over_one),
        "gain_interval_90": rounded(np.column_stack((found.gain_lower, found.gain_upper))),
        "pooled_gain": rounded((found.pooled_gain, found.pooled_lower, found.pooled_upper)),
        "trusted": found.trusted.tolist(),
        "steps": [found.n_fit, found.n_judged],
    }


LEGS = sorted({(days, x) for book in BOOKS.values() for days, x, _ in book})
HELD = np.array([[sum(q for d, x, q in book if (d, x) == leg) for leg in LEGS] for book in BOOKS.values()])


def legs_at(surface: VolSurface) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Years to expiry, strikes in USD and standardised strikes of the legs, opened on a surface."""
    days, x = (np.array(values, dtype=np.float64) for values in zip(*LEGS, strict=True))
    tau = days / DAYS_PER_YEAR
    deviation = np.sqrt(surface.total_variance(np.zeros_like(tau), tau))
    return tau, np.asarray(surface.forward(tau) * np.exp(x * deviation)), x


def book_values(
    vols: VolSurface, tau: FloatArray, strike: FloatArray, x: FloatArray, forwards: FloatArray | None = None
) -> FloatArray:
    """USD value of each book, on the surface's own forwards unless others are given."""
    ahead = np.asarray(vols.forward(tau)) if forwards is None else forwards
    vol = np.asarray(vols.implied_vol(np.log(strike / ahead), tau))
    return np.asarray(HELD @ black76_price(ahead, strike, tau, vol, x > 0))


def books(
    surfaces: dict[int, VolSurface], first: list[SurfacePanel], second: list[SurfacePanel]
) -> dict[str, object]:
    """Share of the profit of ten books that factors of the first half explain in the second."""
    late = panel_steps(second)
    models: dict[str, FactorModel] = {n: fit_factors(first, s).model for n, s in MODELS.items()}
    scores = {name: factor_scores(late, model.factors) for name, model in models.items()}
    found: list[FloatArray] = []
    vol_left: dict[str, list[FloatArray]] = {name: [] for name in models}
    all_left: dict[str, list[FloatArray]] = {name: [] for name in models}
    total: list[FloatArray] = []
    for i in range(late.days.size):
        before, after = surfaces[int(late.start_ns[i])], surfaces[int(late.end_ns[i])]
        tau, strike, x = legs_at(before)
        tau = tau - (after.ts_ns - before.ts_ns) / NS_PER_YEAR
        end = np.asarray(after.forward(tau))
        final, rolled = (book_values(s, tau, strike, x) for s in (after, before))
        # The smile of before at fixed standardised strikes: nothing but the forwards has moved.
        still = book_values(before, tau, strike, x, end)
        found.append((final - still) / end[0])
        total.append((final - rolled) / end[0])
        for name, model in models.items():
            moved = model.apply(before, scores[name][i])
            vol_left[name].append((final - book_values(moved, tau, strike, x, end)) / end[0])
            all_left[name].append((final - book_values(moved, tau, strike, x)) / end[0])
    rows = drawn(len(found))
    result: dict[str, object] = {"steps": len(found)}
    for what, base, left in (("vol", found, vol_left), ("total", total, all_left)):
        whole = np.array(base) ** 2
        table = {}
        for name, residual in left.items():
            miss = np.array(residual) ** 2
            draws = np.array([1.0 - miss[r].sum(axis=0) / whole[r].sum(axis=0) for r in rows])
            low, high = np.quantile(draws, (0.05, 0.95), axis=0)
            table[name] = {
                book: [round(float(v), 3) for v in triple]
                for book, *triple in zip(
                    BOOKS, 1.0 - miss.sum(axis=0) / whole.sum(axis=0), low, high, strict=True
                )
            }
        result[what] = table
        result[f"{what}_median_of_books"] = {
            name: round(float(np.median([v[0] for v in books.values()])), 3) for name, books in table.items()
        }
    return result


def risk(
    surfaces: dict[int, VolSurface], panels: list[SurfacePanel], half: int, coin: str
) -> dict[str, object]:
    """Profit of the books over the standard deviation predicted, in the second half."""
    first, second = ([p.rows(part) for p in panels] for part in (slice(0, half + 1), slice(half, None)))
    settings = FactorSettings(regime=regime_rule(first[0]))
    fit, late = fit_factors(first, settings), panel_steps(second)
    model = fit.model
    stressed = fit_factors(second, settings).stressed
    mine = np.array([factor.underlying == coin for factor in model.factors])
    every = np.concatenate((fit.scores, factor_scores(late, model.factors)))
    ends = np.concatenate((fit.steps.end_ns, late.end_ns))
    daily = every / np.sqrt(np.concatenate((fit.steps.days, late.days)))[:, None]
    ratios: dict[str, list[FloatArray]] = {"first_half": [], "by_regime": [], "ewma": []}
    for i in range(late.days.size):
        before, after = surfaces[int(late.start_ns[i])], surfaces[int(late.end_ns[i])]
        tau, strike, x = legs_at(before)
        tau = tau - (after.ts_ns - before.ts_ns) / NS_PER_YEAR
        profit = book_values(after, tau, strike, x) - book_values(before, tau, strike, x)
        loadings = np.zeros((len(BOOKS), len(model.factors)))
        for k in np.flatnonzero(mine):
            up, down = (
                book_values(model.apply(before, {model.names[k]: s * model.scales[k]}), tau, strike, x)
                for s in (1.0, -1.0)
            )
            loadings[:, k] = (up - down) / (2.0 * model.scales[k])
        known = ends <= late.start_ns[i]
        ewma = shrink_covariance(daily[known], weights=ewma_weights(ends[known], half_life_days=HALF_LIFE))
        regime = fit.models.get(Regime.STRESSED if stressed[i] else Regime.CALM, model)
        for name, found in (("first_half", model), ("by_regime", regime), ("ewma", ewma)):
            variance = np.einsum("bi,ij,bj->b", loadings, found.covariance, loadings) * late.days[i]
            ratios[name].append(profit / np.sqrt(variance))
    return {
        name: {
            "sd": dict(zip(BOOKS, rounded(np.sqrt((np.array(z) ** 2).mean(axis=0)), 2), strict=True)),
            "beyond_1.645": dict(zip(BOOKS, rounded((np.abs(z) > 1.645).mean(axis=0), 3), strict=True)),
            "median_sd": round(float(np.median(np.sqrt((np.array(z) ** 2).mean(axis=0)))), 2),
        }
        for name, z in ratios.items()
    }


def speed(surface: VolSurface, model: FactorModel) -> dict[str, object]:
    """Loadings of a book of 200 options."""
    days = np.repeat([3, 10, 25, 60, 120], 40)
    strikes = np.tile(np.linspace(0.7, 1.4, 40), 5) * float(np.asarray(surface.forward(0.1)))
    positions = tuple(
        Position(listed(surface, int(d), round(float(k)), i % 2 == 0), Decimal(1))
        for i, (d, k) in enumerate(zip(days, strikes, strict=True))
    )
    book, spent = Book("speed", positions), []
    for _ in range(7):
        start = time.thread_time()
        found = factor_loadings(book, {surface.underlying: surface}, model, surface.ts_ns)
        spent.append(1e3 * (time.thread_time() - start))
    return {
        "legs": len(positions),
        "priced": int(found.priced.sum()),
        "factors": sum(factor.underlying == surface.underlying for factor in model.factors),
        "cpu_ms": round(float(np.median(spent)), 2),
    }


def listed(surface: VolSurface, days: int, strike: int, is_call: bool) -> Instrument:
    """A coin-settled option."""
    coin = surface.underlying
    return Instrument(
        name=f"{coin}-{days}D-{strike}-{'C' if is_call else 'P'}",
        venue="deribit",
        underlying=coin,
        kind=InstrumentKind.OPTION,
        settlement=Settlement.COIN,
        settle_currency=currency(coin),
        multiplier=Decimal(1),
        lot=Decimal("0.1"),
        min_size=Decimal("0.1"),
        ticks=TickLadder.flat("0.0001"),
        expiry_ns=surface.ts_ns + days * NS_PER_DAY,
        strike=Decimal(strike),
        is_call=is_call,
    )


def current(fit: FactorFit) -> dict[str, object]:
    """State at the end of the recording."""
    return {"regime": fit.current.value, "notes": fit.notes, "steps": int(fit.steps.days.size)}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cache", type=Path, default=None, help="file that keeps the fitted surfaces")
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    if not root.is_dir():
        print(
            json.dumps({"skipped": "recorded chains not found; point IVHEDGE_DATA at a folder that has them"})
        )
        return
    surfaces, notes = surfaces_of(root, options.parse_args().cache)
    panels = [build_panel(surfaces[coin]) for coin in COINS]
    half = panels[0].ts_ns.size // 2
    first, second = ([p.rows(part) for p in panels] for part in (slice(0, half + 1), slice(half, None)))
    steps = panel_steps(panels)
    rng = np.random.default_rng(SEED)
    whole = fit_factors(panels, FactorSettings(regime=regime_rule(first[0])))
    result = {
        "surfaces": notes,
        "panel": {
            "tenor_days": panels[0].tenor_days.tolist(),
            "nodes": panels[0].nodes.tolist(),
            "split": format_ns(int(panels[0].ts_ns[half])),
            "steps": int(steps.days.size),
            "left_out": steps.left_out,
            "missing": {p.underlying: int((p.status == PanelStatus.MISSING).sum()) for p in panels},
        },
        "shares": shares(first, second),
        "time_scaling": time_scaling(panels),
        "covariance": covariance(first, second),
        "current": current(whole),
        "betas": {
            "vega": beta_table(vega_beta(steps, "ETH", "BTC", rng=rng)),
            "spot": beta_table(spot_beta(steps, "ETH", "BTC", rng=rng)),
        },
        "books": {coin: books({s.ts_ns: s for s in surfaces[coin]}, first, second) for coin in COINS},
        "risk": {coin: risk({s.ts_ns: s for s in surfaces[coin]}, panels, half, coin) for coin in COINS},
        "speed": speed(surfaces["BTC"][-1], whole.model),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
