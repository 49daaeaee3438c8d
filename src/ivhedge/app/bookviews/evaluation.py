"""Forecasters judged on a history: one table per horizon."""

from dataclasses import asdict

from ivhedge.core.units import format_ns
from ivhedge.forecast.comparison import ForecastComparison, ForecastScore
from ivhedge.report import BookView, TableView
from ivhedge.report import format as fmt

__all__ = ["evaluation_to_dict", "evaluation_view"]

_LEVEL = 0.9


def evaluation_view(found: ForecastComparison, *, source: str, judged: str) -> BookView:
    """Collect what there is to see of a comparison.

    Parameters
    ----------
    found : ForecastComparison
    source : str
        Name of the bars.
    judged : str
        The model that the verdict is about.
    """
    own = [score for score in found.scores if score.name == judged]
    parts = [f"{fmt.number(score.ratio, 2)} at {_days(score.horizon)}" for score in own]
    inside = all(score.set_p >= 1.0 - _LEVEL for score in own)
    return BookView(
        title=f"forecasters judged, {source}",
        ts_ns=found.last_ns,
        verdict=f"{judged} has {', '.join(parts)} of {found.baseline}'s loss; "
        + (
            "no model is surely better at any horizon"
            if inside
            else "another model is better at some horizon"
        ),
        good=inside and all(score.ratio <= 1.0 for score in own),
        facts=(
            ("judged", f"{format_ns(found.first_ns)[:10]} to {format_ns(found.last_ns)[:10]}"),
            *((f"days with an outcome over {_days(h)}", fmt.count(n)) for h, n in _counts(found)),
            ("models", fmt.count(len({score.name for score in found.scores}))),
        ),
        tables=tuple(_table(found, horizon) for horizon in found.horizons),
        notes=(
            "walk-forward with weekly refits; the outcome is Garman-Klass variance at the level that "
            "realised variance has had until then; targets over several days overlap",
            *_not_earned(own),
        ),
    )


def evaluation_to_dict(found: ForecastComparison, *, source: str) -> dict[str, object]:
    """JSON-ready."""
    return {
        "source": source,
        "baseline": found.baseline,
        "first_ns": found.first_ns,
        "last_ns": found.last_ns,
        "days": dict(zip(map(str, found.horizons), found.days, strict=True)),
        "scores": [asdict(score) for score in found.scores],
    }


def _table(found: ForecastComparison, horizon: int) -> TableView:
    return TableView(
        title=f"variance over {_days(horizon)}",
        note=f"loss: QLIKE; ratio to {found.baseline} with a 95 % interval; p: Diebold-Mariano; "
        "set: p-value in the model confidence set (in the 90 % set from 0.10); "
        "inside: share of outcomes in the 90 % band",
        headings=("model", "loss", "ratio", "from", "to", "p", "set", "inside", "slope", "replaced"),
        rows=tuple(_row(score) for score in found.at(horizon)),
    )


def _row(score: ForecastScore) -> tuple[str, ...]:
    return (
        score.name,
        fmt.number(score.qlike, 4),
        fmt.number(score.ratio, 3),
        fmt.number(score.ratio_low, 3),
        fmt.number(score.ratio_high, 3),
        "" if score.p_value is None else f"{score.p_value:.2g}",
        fmt.number(score.set_p, 2),
        fmt.percent(score.coverage, 1),
        fmt.number(score.slope, 2),
        fmt.count(score.replaced),
    )


def _not_earned(own: list[ForecastScore]) -> tuple[str, ...]:
    """What speaks against the judged model."""
    notes = []
    for score in own:
        if score.ratio_high >= 1.0:
            notes.append(f"over {_days(score.horizon)} the interval of {score.name}'s ratio reaches 1")
        if not 0.87 <= score.coverage <= 0.93:
            share = fmt.percent(score.coverage, 1)
            notes.append(f"over {_days(score.horizon)} the 90 % band of {score.name} holds {share}")
    return tuple(notes)


def _counts(found: ForecastComparison) -> list[tuple[int, int]]:
    return list(zip(found.horizons, found.days, strict=True))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
