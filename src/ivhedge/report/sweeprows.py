"""Rows that the page and the terminal show of a sweep."""

import math
from collections.abc import Sequence

from ivhedge.engine.sweep import Cell, CellResult, Comparison, Interval, SweepResult
from ivhedge.report import format as fmt

__all__ = [
    "COMPARISON_HEADINGS",
    "FOLD_HEADINGS",
    "comparison_rows",
    "fold_rows",
    "score_text",
    "verdict_lines",
]

COMPARISON_HEADINGS = (
    "Variant",
    "P&L USD",
    "Cost USD",
    "Step std USD",
    "CVaR 95 step",
    "Max drawdown",
    "Score",
    "Score less baseline",
    "p alone",
    "p best of all",
)
FOLD_HEADINGS = (
    "Trained on",
    "Judged on",
    "Chosen",
    "Score in sample",
    "Score out of sample",
    "Baseline",
    "Best afterwards",
    "Rank correlation",
)


def comparison_rows(cell: Cell, found: Comparison, criterion: str) -> list[tuple[str, ...]]:
    """One row per variant, the baseline first, the others from best to worst."""
    score = found.figures["score"].value
    order = sorted(range(1, len(cell.variants)), key=lambda row: -_or_least(float(score[row])))
    return [_row(cell, found, row, criterion) for row in (0, *order)]


def _row(cell: Cell, found: Comparison, row: int, criterion: str) -> tuple[str, ...]:
    figures = found.figures
    return (
        cell.variants[row],
        _with_interval(figures["pnl_usd"], row, signed=True),
        fmt.number(float(figures["cost_usd"].value[row])),
        _with_interval(figures["std_usd"], row),
        _with_interval(figures["cvar95_usd"], row),
        fmt.number(float(found.drawdown_usd[row])),
        score_text(float(figures["score"].value[row]), criterion),
        "baseline"
        if row == 0
        else _with_interval(found.differences["score"], row, signed=True, decimals=_decimals(criterion)),
        fmt.number(float(found.p_value[row]), 3),
        fmt.number(float(found.p_adjusted[row]), 3),
    )


def fold_rows(item: CellResult, criterion: str) -> list[tuple[str, ...]]:
    """One row per choice."""
    if item.walk_forward is None:
        return []
    return [
        (
            _range(fold.trained_on),
            fold.judged_on,
            fold.chosen,
            score_text(fold.score_in, criterion),
            score_text(fold.score_out, criterion),
            score_text(fold.baseline_out, criterion),
            fold.best_out,
            fmt.number(fold.rank_correlation, 2, signed=True),
        )
        for fold in item.walk_forward.folds
    ]


def verdict_lines(result: SweepResult) -> list[tuple[str, bool]]:
    """What the sweep says of each cell in a line, and whether it is to be content with."""
    lines = []
    for item in result.cells:
        found = item.walk_forward
        judged = None if found is None else found.comparison
        if found is None or judged is None:
            continue
        gain = judged.differences["score"]
        low, value, high = (float(part[-1]) for part in (gain.low, gain.value, gain.high))
        decimals = _decimals(result.spec.criterion)
        own, other = (fmt.number(float(judged.figures["pnl_usd"].value[row]), signed=True) for row in (-1, 0))
        gained, least, most = (fmt.number(part, decimals, signed=True) for part in (value, low, high))
        lines.append(
            (
                f"{item.cell.label}: chosen on the past, {result.spec.criterion} is {gained} against "
                f"{found.cell.variants[0]} out of sample ({least} to {most}); P&L {own} against {other} USD",
                low > 0.0,
            )
        )
    if result.failed:
        lines.append((f"{len(result.failed)} of {len(result.runs)} runs failed", False))
    return lines


def score_text(value: float, criterion: str) -> str:
    """Format a score."""
    return fmt.number(value, _decimals(criterion))


def _decimals(criterion: str) -> int:
    return 3 if criterion == "sharpe" else 0


def _with_interval(figure: Interval, row: int, *, signed: bool = False, decimals: int = 0) -> str:
    value, low, high = (float(part[row]) for part in (figure.value, figure.low, figure.high))
    text = fmt.number(value, decimals, signed=signed)
    if not (math.isfinite(low) and math.isfinite(high)):
        return text
    return (
        f"{text} ({fmt.number(low, decimals, signed=signed)} to {fmt.number(high, decimals, signed=signed)})"
    )


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
