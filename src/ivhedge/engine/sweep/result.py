"""What a sweep hands out: tables for machines, cells and comparisons for the report."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.engine.sweep.cells import Cell
from ivhedge.engine.sweep.comparison import FEW_STEPS, Comparison
from ivhedge.engine.sweep.plan import PlannedRun
from ivhedge.engine.sweep.spec import SweepSpec
from ivhedge.engine.sweep.walkforward import WalkForward
from ivhedge.engine.sweep.work import Record

__all__ = ["CellResult", "SweepResult"]

_FIGURES = ("pnl_usd", "cost_usd", "std_usd", "cvar95_usd", "score")
_RUN_FIGURES = (
    "pnl_usd",
    "pnl_std_usd",
    "cvar95_usd",
    "max_drawdown_usd",
    "fees_usd",
    "slippage_usd",
    "funding_usd",
    "turnover_usd",
    "n_trades",
    "residual_share_of_gross",
    "identity_exact",
)


@dataclass(frozen=True, slots=True)
class CellResult:
    """One book in one market: all periods, and the walk-forward, None where it was not asked or possible."""

    cell: Cell
    comparison: Comparison | None
    walk_forward: WalkForward | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Everything a sweep found.

    Parameters
    ----------
    spec : SweepSpec
    runs : tuple of PlannedRun
    records : dict of id to record
    cells : tuple of CellResult
    code : str
        Digest of the code that made the runs.
    """

    spec: SweepSpec
    runs: tuple[PlannedRun, ...]
    records: dict[str, Record]
    cells: tuple[CellResult, ...]
    code: str

    @property
    def failed(self) -> tuple[tuple[PlannedRun, str], ...]:
        """Runs that failed, with their errors in words."""
        found = []
        for run in self.runs:
            record = self.records[run.id]
            if record["status"] != "done":
                error = record["error"]
                words = f"{error['kind']}: {error['message']}" if isinstance(error, dict) else str(error)
                found.append((run, words))
        return tuple(found)

    def run_table(self) -> pl.DataFrame:
        """One row per run: labels, id, status, error, figures; null = not known."""
        errors = {run.id: words for run, words in self.failed}
        rows = []
        for run in self.runs:
            figures = self.records[run.id]["figures"]
            known = figures if isinstance(figures, dict) else {}
            rows.append(
                {
                    "id": run.id,
                    "market": run.market,
                    "book": run.book,
                    "period": run.period,
                    "policy": run.policy,
                    "variant": run.variant,
                    "parameters": self._parameters(run.variant),
                    "status": self.records[run.id]["status"],
                    "error": errors.get(run.id),
                    **{name: known.get(name) for name in _RUN_FIGURES},
                }
            )
        kinds = dict.fromkeys(_RUN_FIGURES, pl.Float64()) | {
            "n_trades": pl.Int64(),
            "identity_exact": pl.Boolean(),
        }
        return pl.DataFrame(rows, schema_overrides=kinds | {"error": pl.String()})

    def comparison_table(self) -> pl.DataFrame:
        """One row per market, book, sample and variant: figures and differences with their intervals.

        The sample is ``all`` (every period: choices made on it are in sample) or ``out of sample``.
        """
        rows: list[dict[str, object]] = []
        for item in self.cells:
            rows += _rows(item.cell, item.comparison, "all")
            if item.walk_forward is not None:
                rows += _rows(item.walk_forward.cell, item.walk_forward.comparison, "out of sample")
        return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().fill_nan(None))

    def fold_table(self) -> pl.DataFrame:
        """One row per choice of the walk-forward."""
        rows = [
            {
                "market": item.cell.market,
                "book": item.cell.book,
                "trained_on": ", ".join(fold.trained_on),
                "judged_on": fold.judged_on,
                "chosen": fold.chosen,
                "score_in": fold.score_in,
                "score_out": fold.score_out,
                "baseline_out": fold.baseline_out,
                "best_out": fold.best_out,
                "rank_correlation": fold.rank_correlation,
            }
            for item in self.cells
            if item.walk_forward is not None
            for fold in item.walk_forward.folds
        ]
        return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().fill_nan(None))

    def to_dict(self) -> dict[str, object]:
        """Everything but the steps, JSON-ready but for NaN; nothing in it tells when or where it ran."""
        return {
            "name": self.spec.name,
            "code": self.code,
            "criterion": self.spec.criterion,
            "baseline": self.spec.baseline,
            "variants_tried": len(self.spec.variants),
            "runs": len(self.runs),
            "failed": [
                {"id": run.id, "variant": run.variant, "book": run.book, "period": run.period, "error": words}
                for run, words in self.failed
            ],
            "bootstrap": {
                "block": self.spec.bootstrap.block,
                "resamples": self.spec.bootstrap.resamples,
                "confidence": self.spec.bootstrap.confidence,
                "seed": self.spec.bootstrap.seed,
            },
            "comparison": self.comparison_table().to_dicts(),
            "walk_forward": self.fold_table().to_dicts(),
            "notes": list(self.notes),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        found = [
            f"{len(self.spec.variants)} variants were tried: the best of them looks better than it is; the "
            "adjusted p-value is that of the best of all",
            "every period opens its own book; a step that spans two periods is in neither",
        ]
        if self.failed:
            found.append(f"{len(self.failed)} of {len(self.runs)} runs failed; --resume tries them again")
        for item in self.cells:
            if item.cell.pnl.shape[1] < FEW_STEPS:
                found.append(
                    f"{item.cell.label}: {item.cell.pnl.shape[1]} steps are few; p-values come out too small "
                    f"below {FEW_STEPS}"
                )
            if item.cell.left_out:
                names = ", ".join(item.cell.left_out)
                found.append(f"{item.cell.label}: not compared, because a period is missing: {names}")
            if item.cell.variants[0] != self.spec.baseline:
                stand_in = item.cell.variants[0]
                found.append(f"{item.cell.label}: the baseline lacks a run; {stand_in} stands in for it")
        compared = {(item.cell.market, item.cell.book) for item in self.cells}
        asked = dict.fromkeys((run.market, run.book) for run in self.runs)
        absent = [key for key in asked if key not in compared]
        found += [f"{book} · {market}: no variant finished" for market, book in absent]
        return tuple(found)

    def _parameters(self, variant: str) -> str:
        (own,) = (item for item in self.spec.variants if item.name == variant)
        return ", ".join(f"{name}={value}" for name, value in own.parameters)


def _rows(cell: Cell, found: Comparison | None, sample: str) -> list[dict[str, object]]:
    if found is None:
        return []
    rows = []
    for place, variant in enumerate(cell.variants):
        row: dict[str, object] = {
            "market": cell.market,
            "book": cell.book,
            "sample": sample,
            "variant": variant,
            "periods": len(cell.periods),
            "steps": int(np.sum(cell.lengths)),
            "max_drawdown_usd": float(found.drawdown_usd[place]),
        }
        for prefix, table in (("", found.figures), ("less_baseline_", found.differences)):
            for name in _FIGURES:
                interval = table[name]
                row[f"{prefix}{name}"] = float(interval.value[place])
                row[f"{prefix}{name}_low"] = float(interval.low[place])
                row[f"{prefix}{name}_high"] = float(interval.high[place])
        row["p_value"] = float(found.p_value[place])
        row["p_adjusted"] = float(found.p_adjusted[place])
        rows.append(row)
    return rows
