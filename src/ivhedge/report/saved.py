"""A backtest on disk: one JSON file for what is small, one Parquet file per table.

Everything is written into a temporary folder first and moved into place at the end, so that a run that
fails leaves the earlier result as it was.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import polars as pl

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.engine.result import POLICY_TABLES, RUN_TABLES, BacktestResult, JsonValue, PolicyResult

__all__ = ["load_result", "result_to_dict", "save_result"]

_TABLES = "tables"
_FORMAT = 1


def result_to_dict(result: BacktestResult) -> dict[str, JsonValue]:
    """Everything but the tables, JSON-ready; what is not finite is null."""
    return {
        "format": _FORMAT,
        "name": result.name,
        "version": result.version,
        "seed": result.seed,
        "underlyings": list(result.underlyings),
        "numeraire": result.numeraire,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "n_snapshots": result.n_snapshots,
        "policies": [
            {"name": p.name, "description": p.description, "summary": dict(p.summary)}
            for p in result.policies
        ],
        "assumptions": list(result.assumptions),
        "warnings": list(result.warnings),
        "config": cast("dict[str, JsonValue]", dict(result.config)),
    }


def save_result(result: BacktestResult, folder: Path | str) -> Path:
    """Write a result into a folder; other files in it stay.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If the folder cannot be written; an earlier result in it is untouched.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".result-", dir=target))
        try:
            _write(result, draft)
            _move_in(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as exc:
        raise ConfigError(
            f"{target}: expected a folder to write to, found: {exc.strerror or exc}; choose another --out"
        ) from exc
    return target


def _write(result: BacktestResult, draft: Path) -> None:
    tables = draft / _TABLES
    tables.mkdir()
    for name in RUN_TABLES:
        getattr(result, name).write_parquet(tables / f"{name}.parquet", compression="zstd")
    for number, policy in enumerate(result.policies):
        for name in POLICY_TABLES:
            getattr(policy, name).write_parquet(tables / f"policy{number}_{name}.parquet", compression="zstd")
    text = json.dumps(result_to_dict(result), indent=2, ensure_ascii=False, allow_nan=False)
    (draft / "result.json").write_text(text + "\n", encoding="utf-8")


def _move_in(draft: Path, target: Path) -> None:
    old = draft / "old-tables"
    if (target / _TABLES).exists():
        (target / _TABLES).rename(old)
    (draft / _TABLES).rename(target / _TABLES)
    (draft / "result.json").replace(target / "result.json")


def load_result(folder: Path | str) -> BacktestResult:
    """Read a result written by `save_result`.

    Raises
    ------
    ConfigError
        If there is no result in the folder.
    SchemaError
        If a file is damaged, missing, or of another format.
    """
    source = Path(folder)
    head = source / "result.json"
    if not head.is_file():
        raise ConfigError(f"expected a backtest's result.json in {source}, found none; run a backtest first")
    try:
        raw = json.loads(head.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise SchemaError(
            f"{head}: expected JSON, found a damaged file ({exc}); run the backtest again"
        ) from exc
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise SchemaError(f"{head}: expected a result of format {_FORMAT}; run the backtest again")
    try:
        return _assemble(raw, source / _TABLES)
    except KeyError as exc:
        raise SchemaError(f"{head}: expected the key {exc}, found none; run the backtest again") from exc


def _assemble(raw: Mapping[str, object], tables: Path) -> BacktestResult:
    described = cast("list[dict[str, object]]", raw["policies"])
    policies = tuple(
        PolicyResult(
            name=str(item["name"]),
            description=str(item["description"]),
            summary=cast("dict[str, float | int | str | bool | None]", item["summary"]),
            **{name: _table(tables / f"policy{number}_{name}.parquet") for name in POLICY_TABLES},
        )
        for number, item in enumerate(described)
    )
    return BacktestResult(
        name=str(raw["name"]),
        version=str(raw["version"]),
        seed=cast("int | None", raw["seed"]),
        underlyings=tuple(cast("list[str]", raw["underlyings"])),
        numeraire=str(raw["numeraire"]),
        start_ns=cast("int", raw["start_ns"]),
        end_ns=cast("int", raw["end_ns"]),
        n_snapshots=cast("int", raw["n_snapshots"]),
        policies=policies,
        assumptions=tuple(cast("list[str]", raw["assumptions"])),
        warnings=tuple(cast("list[str]", raw["warnings"])),
        config=cast("dict[str, object]", raw["config"]),
        **{name: _table(tables / f"{name}.parquet") for name in RUN_TABLES},
    )


def _table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise SchemaError(
            f"{path}: expected a table of the result, found: {exc}; run the backtest again"
        ) from exc
