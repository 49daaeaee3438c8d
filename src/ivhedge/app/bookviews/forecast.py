"""A volatility outlook: what is expected, what the surface charges, what vega to hold."""

from math import isfinite

from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.engine.outlook import Outlook
from ivhedge.report import BookView, TableView
from ivhedge.report import format as fmt
from ivhedge.risk.buckets import delta_label

__all__ = ["forecast_to_dict", "forecast_view"]


def forecast_view(seen: Outlook) -> BookView:
    """Collect what there is to see of an outlook."""
    curve, spike = seen.curve, seen.spike
    month = int(abs(curve.tenor_days - 30.0).argmin())
    verdict = (
        f"{fmt.percent(float(curve.vol[month]), 1)} a year expected over {curve.tenor_days[month]:g} days "
        f"({fmt.percent(float(curve.low[month]), 0)} to {fmt.percent(float(curve.high[month]), 0)} with "
        f"{fmt.percent(curve.level, 0)}), {spike.regime.value}"
    )
    return BookView(
        title=f"volatility outlook, {seen.source}",
        ts_ns=curve.as_of_ns if seen.premium is None else seen.premium.outlook.ts_ns,
        verdict=verdict,
        good=not curve.replaced and spike.may_sell,
        facts=(
            ("days of history", fmt.count(seen.days)),
            ("bars repaired or cut off", fmt.count(seen.repaired)),
            ("regime", spike.regime.value),
            (
                "last bar over its usual size",
                f"{fmt.number(abs(spike.statistic), 1)} of {spike.threshold:.1f}",
            ),
            ("last hours' variance over the week's", fmt.number(spike.ratio, 2)),
        ),
        tables=(_curve(seen), *_premium(seen), *_smile(seen), *_targets(seen)),
        notes=(
            *(("a figure of the forecast was replaced by the insanity filter",) if curve.replaced else ()),
            *(("a jump is fresh: no short vega is wanted",) if not spike.may_sell else ()),
        ),
    )


def _curve(seen: Outlook) -> TableView:
    curve = seen.curve
    return TableView(
        title="expected volatility",
        note=f"annual, 365 days; band of {fmt.percent(curve.level, 0)}",
        headings=("tenor", "expected", "low", "high"),
        rows=tuple(
            (f"{days:g} d", *(fmt.percent(float(x[k]), 1) for x in (curve.vol, curve.low, curve.high)))
            for k, days in enumerate(curve.tenor_days.tolist())
        ),
    )


def _premium(seen: Outlook) -> tuple[TableView, ...]:
    premium = seen.premium
    if premium is None:
        return ()
    rows = []
    for k, tau in enumerate(premium.tau.tolist()):
        rows.append(
            (
                f"{tau * DAYS_PER_YEAR:g} d",
                fmt.percent(float(premium.outlook.vol[k]), 1),
                fmt.percent(float(premium.atm_vol[k]), 1),
                fmt.percent(float(premium.swap_variance[k] ** 0.5), 1),
                fmt.number(100.0 * float(premium.vol[k]), 1, signed=True),
                fmt.number(float(premium.score[k]), 2, signed=True),
                fmt.percent(float(premium.probability_cheaper[k]), 0),
            )
        )
    return (
        TableView(
            title="against the surface",
            note="premium: vol points of the variance swap over the expected vol; chance that less comes",
            headings=("tenor", "expected", "at the money", "swap", "premium", "deviations", "chance"),
            rows=tuple(rows),
        ),
    )


def _smile(seen: Outlook) -> tuple[TableView, ...]:
    smile = seen.smile
    if smile is None:
        return ()
    names = [delta_label(float(delta)) for delta in smile.call_delta]
    rows = []
    for k, tau in enumerate(smile.tau.tolist()):
        cells = []
        for j in range(smile.call_delta.size):
            premium, score = float(smile.premium[k, j]), float(smile.score[k, j])
            known = isfinite(premium) and isfinite(score)
            cells.append(
                f"{fmt.number(100.0 * premium, 1, signed=True)} ({fmt.number(score, 1, signed=True)})"
                if known
                else "–"
            )
        rows.append((f"{tau * DAYS_PER_YEAR:g} d", *cells))
    return (
        TableView(
            title="rich and cheap by delta",
            note="fair less expected vol in points (in standard errors); expected: past returns in units of "
            "their forecasts; – where they never reached",
            headings=("tenor", *names),
            rows=tuple(rows),
        ),
    )


def _targets(seen: Outlook) -> tuple[TableView, ...]:
    if seen.view is None:
        return ()
    expected = seen.view.expectation
    rows = [
        (
            f"{target.min_days:g} to {target.max_days:g} d",
            fmt.number(target.vega_usd, 0, signed=True),
            fmt.number(float(expected.gross[k]), 2, signed=True),
            fmt.number(float(expected.cost[k]), 2),
            fmt.number(target.sd_points, 2),
            target.reason,
        )
        for k, target in enumerate(seen.view.targets)
    ]
    return (
        TableView(
            title="vega to hold",
            note="USD per vol point; gross of a long vega, cost of either side and risk in vol points",
            headings=("tenors", "vega", "gross", "cost", "risk", "why"),
            rows=tuple(rows),
            text=(0, 5),
        ),
    )


def forecast_to_dict(seen: Outlook) -> dict[str, object]:
    """JSON-ready."""
    curve, spike, premium = seen.curve, seen.spike, seen.premium
    found: dict[str, object] = {
        "source": seen.source,
        "days": seen.days,
        "repaired": seen.repaired,
        "as_of_ns": curve.as_of_ns,
        "level": curve.level,
        "replaced": curve.replaced,
        "term_structure": [
            {
                "days": days,
                "vol": float(curve.vol[k]),
                "low": float(curve.low[k]),
                "high": float(curve.high[k]),
            }
            for k, days in enumerate(curve.tenor_days.tolist())
        ],
        "regime": spike.regime.value,
        "statistic": spike.statistic,
        "threshold": spike.threshold,
        "variance_ratio": spike.ratio,
        "premium": None,
        "view": None if seen.view is None else seen.view.to_dict(),
    }
    if premium is not None:
        found["premium"] = [
            {
                "days": tau * DAYS_PER_YEAR,
                "expected_vol": float(premium.outlook.vol[k]),
                "atm_vol": float(premium.atm_vol[k]),
                "swap_vol": float(premium.swap_variance[k] ** 0.5),
                "premium_vol": float(premium.vol[k]),
                "deviations": float(premium.score[k]),
                "probability_cheaper": float(premium.probability_cheaper[k]),
            }
            for k, tau in enumerate(premium.tau.tolist())
        ]
    smile = seen.smile
    found["smile"] = None
    if smile is not None:
        found["smile"] = [
            {
                "days": tau * DAYS_PER_YEAR,
                "call_delta": float(delta),
                "fair_vol": float(smile.fair_vol[k, j]),
                "expected_vol": float(smile.expected_vol[k, j]),
                "error": float(smile.error[k, j]),
            }
            for k, tau in enumerate(smile.tau.tolist())
            for j, delta in enumerate(smile.call_delta)
        ]
    return found
