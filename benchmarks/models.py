"""SVI, SABR, Heston and Bates beside the eSSVI backbone: fit quality, accuracy and times; prints JSON.

Recorded part: one Deribit snapshot per asset (or `--snapshots N` evenly spread ones), the quotes that the
surface fit selects, every model on the same quotes; needs IVHEDGE_DATA (default ../shared/data). Accuracy:
prices against QuantLib where it is installed, and against an independent integration by scipy. Times are CPU
time of this process.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.market import clean_chain, estimate_forwards, quote_vols, read_chains
from ivhedge.surface import SelectionRules, calibrate_essvi, essvi_total_variance, select_quotes
from ivhedge.surface.models import (
    TRUE_BATES,
    TRUE_HESTON,
    BatesModel,
    HestonModel,
    ModelFit,
    RawSvi,
    SabrModel,
    TruthSettings,
    VolQuotes,
    fit_bates,
    fit_heston,
    fit_sabr,
    fit_svi,
    svi_arbitrage,
    truth_quotes,
)
from ivhedge.surface.report import TENORS

SEED = 20260105


def timed(task: Callable[[], object], turns: int = 3) -> float:
    """Smallest CPU milliseconds of a few runs."""
    times = []
    for _ in range(turns):
        start = time.process_time()
        task()
        times.append(1e3 * (time.process_time() - start))
    return round(min(times), 2)


def packed(chain: pl.DataFrame) -> tuple[VolQuotes, FloatArray]:
    """Selected quotes of a chain, and the vols of the eSSVI backbone at them."""
    cleaned = clean_chain(chain).chain
    vols = quote_vols(cleaned, estimate_forwards(cleaned))
    selection = select_quotes(vols, SelectionRules())
    quotes = VolQuotes.from_selection(vols, selection)
    theta, rho, psi = calibrate_essvi(selection.packed).params[quotes.owner].T
    variance = essvi_total_variance(quotes.log_moneyness, theta, rho, psi)
    return quotes, np.sqrt(variance / quotes.taus[quotes.owner])


def by_slice(
    quotes: VolQuotes, fit: Callable[[VolQuotes], ModelFit[object]], least: int
) -> dict[str, object]:
    """Fit every expiry with enough quotes; vols are NaN elsewhere."""
    vols = np.full(len(quotes), np.nan)
    notes: dict[str, int] = {"expiries": quotes.taus.size, "fitted": 0, "converged": 0, "arbitrage": 0}
    start = time.process_time()
    for number in range(quotes.taus.size):
        one = quotes.expiry(number)
        if np.unique(one.log_moneyness).size < least:
            continue
        found = fit(one)
        vols[quotes.offsets[number] : quotes.offsets[number + 1]] = found.fitted_vol
        notes["fitted"] += 1
        notes["converged"] += found.converged
        notes["arbitrage"] += not (found.arbitrage is None or found.arbitrage.free)
    return {"vols": vols, **notes, "cpu_ms": round(1e3 * (time.process_time() - start), 1)}


def table(quotes: VolQuotes, vols: FloatArray) -> list[dict[str, object]]:
    """Quality by tenor, over the quotes that the model has a vol for."""
    days = quotes.taus[quotes.owner] * DAYS_PER_YEAR
    error = 100.0 * (vols - quotes.mid_vol)
    inside = (vols >= quotes.bid_vol) & (vols <= quotes.ask_vol)
    rows = []
    for name, first, last in (*TENORS, ("all", 0.0, np.inf)):
        mine = (days >= first) & (days < last) & np.isfinite(vols)
        if mine.any():
            rmse = float(np.sqrt(np.mean(error[mine] ** 2)))
            median = float(np.median(np.abs(error[mine])))
            rows.append(
                {
                    "tenor": name,
                    "quotes": int(mine.sum()),
                    "rmse_vol_points": round(rmse, 3),
                    "median_vol_points": round(median, 3),
                    "inside_bid_ask": round(float(inside[mine].mean()), 4),
                }
            )
    return rows


def recorded(folder: Path, count: int) -> dict[str, object]:
    """Every model on the same quotes of some snapshots; quotes of all snapshots are pooled by tenor."""
    chains = read_chains(folder)
    times = chains["ts"].unique().sort()
    at = np.linspace(0, times.len() - 1, count + 2).astype(int).tolist()[1:-1]
    per_model: dict[str, list[dict[str, object]]] = {}
    for moment in times.gather(at).to_list():
        quotes, backbone = packed(chains.filter(pl.col("ts") == moment))
        per_model.setdefault("essvi", []).append({"quotes": quotes, "vols": backbone})
        slices = {
            "svi": (fit_svi, 5),
            "svi_unconstrained": (lambda q: fit_svi(q, arbitrage_free=False), 5),
            "sabr_beta_1": (fit_sabr, 3),
            "sabr_beta_free": (lambda q: fit_sabr(q, beta=None), 4),
        }
        for name, (fit, least) in slices.items():
            per_model.setdefault(name, []).append({"quotes": quotes, **by_slice(quotes, fit, least)})
        for name, whole in (("heston", fit_heston), ("bates", fit_bates)):
            start = time.process_time()
            found = whole(quotes)
            per_model.setdefault(name, []).append(
                {
                    "quotes": quotes,
                    "vols": found.fitted_vol,
                    "cpu_ms": round(1e3 * (time.process_time() - start), 1),
                    "params": repr(found.params),
                    "iterations": found.iterations,
                    "converged": int(found.converged),
                    "warnings": list(found.warnings),
                }
            )
    return {"snapshots": [str(t) for t in times.gather(at).to_list()], **summary(per_model)}


def summary(per_model: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    """Pool the snapshots of each model."""
    out: dict[str, object] = {}
    for name, parts in per_model.items():
        pooled: dict[str, object] = {"by_tenor": pool([table(p["quotes"], p["vols"]) for p in parts])}
        for key in ("expiries", "fitted", "converged", "arbitrage"):
            if key in parts[0]:
                pooled[key] = sum(int(p[key]) for p in parts)
        if "cpu_ms" in parts[0]:
            pooled["cpu_ms_median"] = statistics.median(p["cpu_ms"] for p in parts)
        for key in ("params", "warnings", "iterations"):
            if key in parts[0]:
                pooled[key] = [p[key] for p in parts]
        out[name] = pooled
    return out


def pool(tables: list[list[dict[str, object]]]) -> list[dict[str, object]]:
    """Quote-weighted means over snapshots: of squared errors, and of shares."""
    frame = pl.DataFrame([row for rows in tables for row in rows])
    weight = pl.col("quotes")
    return (
        frame.group_by("tenor", maintain_order=True)
        .agg(
            weight.sum(),
            rmse_vol_points=((pl.col("rmse_vol_points").pow(2) * weight).sum() / weight.sum())
            .sqrt()
            .round(3),
            median_vol_points=pl.col("median_vol_points").median().round(3),
            inside_bid_ask=((pl.col("inside_bid_ask") * weight).sum() / weight.sum()).round(4),
        )
        .to_dicts()
    )


def by_quadrature(model: HestonModel | BatesModel, k: float, tau: float) -> float:
    """Call price by the two probabilities of Heston (1993), each integrated adaptively: another formula."""
    from scipy.integrate import quad

    def probability(shift: float) -> float:
        def integrand(u: float) -> float:
            phi = np.exp(model.log_characteristic(np.array([shift + 1j * u]), tau)[0][0])
            return float((np.exp(-1j * u * k) * phi / (1j * u)).real)

        edges = np.concatenate(([1e-12], np.linspace(1.0, 30.0, 15) / np.sqrt(model.expected_variance(tau))))
        parts = [quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0] for a, b in pairwise(edges)]
        tail = quad(integrand, edges[-1], np.inf, epsabs=1e-13, limit=400)[0]
        return 0.5 + (sum(parts) + tail) / np.pi

    return probability(1.0) - float(np.exp(k)) * probability(0.0)


def accuracy() -> dict[str, object]:
    """Largest price differences relative to the forward, and the time of one expiry of 60 strikes."""
    out: dict[str, object] = {}
    for name, model in (("heston", TRUE_HESTON), ("bates", TRUE_BATES)):
        worst, times = 0.0, {}
        for days in (1.0, 30.0, 365.0):
            tau = days / DAYS_PER_YEAR
            k = np.linspace(-3.2, 3.2, 60) * np.sqrt(model.expected_variance(tau))
            times[f"{days:g}d_ms"] = timed(lambda k=k, tau=tau, m=model: m.price(k, tau, True))
            ours = model.price(k[::12], tau, True)
            other = np.array([by_quadrature(model, float(x), tau) for x in k[::12]])
            worst = max(worst, float(np.max(np.abs(ours - other))))
        out[name] = {"against_quad": worst, "price_60_strikes": times}
    return out


def quantlib() -> dict[str, object]:
    """Prices, vols and fits of QuantLib on the same inputs."""
    try:
        import QuantLib as ql  # noqa: N813
    except ImportError:
        return {"skipped": "QuantLib is not installed; install the bench extra"}
    out: dict[str, object] = {"version": ql.__version__}
    today = ql.Date(5, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    rate = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, ql.Actual365Fixed()))
    spot = ql.QuoteHandle(ql.SimpleQuote(1.0))
    m = TRUE_BATES
    five = (m.v0, m.kappa, m.theta, m.xi, m.rho)
    heston = ql.HestonModel(ql.HestonProcess(rate, rate, spot, *five))
    bates = ql.BatesModel(ql.BatesProcess(rate, rate, spot, *five, m.jump_rate, m.jump_mean, m.jump_sd))
    engines = {
        "heston": (TRUE_HESTON, ql.AnalyticHestonEngine(heston, 1e-13, 100_000)),
        "bates": (TRUE_BATES, ql.BatesEngine(bates, 1e-13, 100_000)),
    }
    for name, (model, engine) in engines.items():
        worst: dict[str, float] = {}
        for days in (1, 7, 30, 365):
            tau = days / DAYS_PER_YEAR
            k = np.linspace(-3.2, 3.2, 60) * np.sqrt(model.expected_variance(tau))
            exercise = ql.EuropeanExercise(today + days)

            def price(x: float, exercise: object = exercise, engine: object = engine) -> float:
                option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call, float(np.exp(x))), exercise)
                option.setPricingEngine(engine)
                return float(option.NPV())

            theirs = np.array([price(x) for x in k])
            worst[f"{days}d"] = float(np.max(np.abs(theirs - model.price(k, tau, True))))
            if days == 30:
                worst["their_ms_60_strikes"] = timed(lambda k=k, price=price: [price(x) for x in k])
                worst["our_ms_60_strikes"] = timed(lambda k=k, tau=tau, m=model: m.price(k, tau, True))
        out[name] = worst
    out["sabr"] = sabr_against(ql)
    out["heston_fit"] = heston_fit_against(ql, today, rate, spot)
    return out


def sabr_against(ql: object) -> dict[str, float]:
    """Gap to QuantLib's SABR, Hagan's without Obloj's correction: equal at the money and for beta = 1."""
    k = np.linspace(-0.3, 0.3, 13)
    worst = {}
    for beta in (1.0, 0.5):
        model = SabrModel(alpha=0.6, beta=beta, rho=-0.3, nu=1.2)
        theirs = np.array([ql.sabrVolatility(float(np.exp(x)), 1.0, 0.1, 0.6, beta, 1.2, -0.3) for x in k])
        gap = np.abs(theirs - model.implied_vol(k, 0.1))
        worst[f"beta_{beta:g}_atm"] = float(gap[6])
        worst[f"beta_{beta:g}_worst"] = float(gap.max())
    return worst


def heston_fit_against(ql: object, today: object, rate: object, spot: object) -> dict[str, object]:
    """Fit of the same noisy quotes by QuantLib's Levenberg–Marquardt from the same start."""
    settings = TruthSettings(days=(7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0), n_strikes=21, width_sd=2.0)
    truth = truth_quotes(np.random.default_rng(SEED), TRUE_HESTON, settings)
    quotes = truth.quotes
    start = HestonModel(v0=0.4, kappa=2.0, theta=0.4, xi=1.0, rho=-0.1)
    ours = fit_heston(quotes, start=start, huber=None)
    our_ms = timed(lambda: fit_heston(quotes, start=start, huber=None))

    def theirs() -> list[float]:
        process = ql.HestonProcess(rate, rate, spot, start.v0, start.kappa, start.theta, start.xi, start.rho)
        model = ql.HestonModel(process)
        engine = ql.AnalyticHestonEngine(model)
        helpers = []
        for x, tau, vol in zip(quotes.log_moneyness, quotes.taus[quotes.owner], quotes.mid_vol, strict=True):
            period = ql.Period(round(float(tau) * DAYS_PER_YEAR), ql.Days)
            quote = ql.QuoteHandle(ql.SimpleQuote(float(vol)))
            helper = ql.HestonModelHelper(
                period, ql.NullCalendar(), 1.0, float(np.exp(x)), quote, rate, rate,
                ql.BlackCalibrationHelper.ImpliedVolError,
            )  # fmt: skip
            helper.setPricingEngine(engine)
            helpers.append(helper)
        weights = (1.0 / quotes.half_spread**2).tolist()
        end = ql.EndCriteria(500, 50, 1e-10, 1e-10, 1e-10)
        model.calibrate(helpers, ql.LevenbergMarquardt(1e-10, 1e-10, 1e-10), end, ql.NoConstraint(), weights)
        return list(model.params())

    begin = time.process_time()
    found = theirs()
    their_ms = round(1e3 * (time.process_time() - begin), 1)
    theta, kappa, xi, rho, v0 = found
    other = HestonModel(v0=v0, kappa=kappa, theta=theta, xi=xi, rho=rho)
    vols = other.implied_vol(quotes.log_moneyness, quotes.taus[quotes.owner])
    return {
        "quotes": len(quotes),
        "our_cpu_ms": our_ms,
        "their_cpu_ms": their_ms,
        "our_rmse_to_truth": round(truth.rmse_vol_points(ours.fitted_vol), 4),
        "their_rmse_to_truth": round(truth.rmse_vol_points(vols), 4),
    }


def known_truth() -> dict[str, object]:
    """Recovery of generated surfaces with clean, noisy and bad quotes; errors in vol points."""
    out: dict[str, object] = {}
    for name, model, fit in (("heston", TRUE_HESTON, fit_heston), ("bates", TRUE_BATES, fit_bates)):
        for label, share in (("noisy", 0.0), ("bad_5", 0.05), ("bad_20", 0.2)):
            rng = np.random.default_rng(SEED)
            worst, times = [], []
            for _ in range(4):
                truth = truth_quotes(rng, model, TruthSettings(bad_share=share))
                quotes = truth.quotes
                start = time.process_time()
                found = fit(quotes)
                times.append(1e3 * (time.process_time() - start))
                worst.append(truth.rmse_vol_points(found.fitted_vol))
            out[f"{name}_{label}"] = {
                "rmse_worst_of_4": round(max(worst), 4),
                "cpu_ms_median": round(statistics.median(times), 1),
            }
    return out


def svi_checks() -> dict[str, object]:
    """Time of the exact check, and its agreement with dense grids on random slices."""
    rng = np.random.default_rng(SEED)
    false, refused, free = 0, 0, 0
    for _ in range(2000):
        b, rho, sigma = 10 ** rng.uniform(-2, 0.5), rng.uniform(-0.95, 0.95), 10 ** rng.uniform(-2, 0.3)
        lowest = 10 ** rng.uniform(-4, 0)
        a = lowest - b * sigma * np.sqrt(1.0 - rho * rho)
        slice_ = RawSvi(a=a, b=b, rho=rho, m=rng.normal() * 0.3, sigma=sigma, tau=1.0)
        report = svi_arbitrage(slice_)
        negative = report.min_density < -1e-9 or max(report.left_slope, report.right_slope) >= 2.0
        false += report.free and negative
        refused += not report.free and not negative
        free += report.free
    vogt = RawSvi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153, tau=1.0)
    return {
        "slices": 2000,
        "free": free,
        "false_certificates": false,
        "refused_without_negative_grid_point": refused,
        "check_cpu_ms": timed(lambda: svi_arbitrage(vogt)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshots", type=int, default=1)
    count = parser.parse_args().snapshots
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("IVHEDGE_DATA", default)) / "deribit_chains"
    result: dict[str, object] = {
        "accuracy": accuracy(),
        "quantlib": quantlib(),
        "svi_check": svi_checks(),
        "known_truth": known_truth(),
    }
    if root.is_dir():
        result["recorded"] = {coin: recorded(root / coin, count) for coin in ("BTC", "ETH")}
    else:
        result["recorded"] = {
            "skipped": "recorded chains not found; point IVHEDGE_DATA at a folder with them"
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
