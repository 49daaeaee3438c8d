"""A backtest on disk: one JSON file for what is small, one Parquet file per table.

The tables go into a folder named after their content; `result.json`, replaced in one step at the end,
names that folder. A reader, or a run that dies half-way, sees the earlier result or the new one.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import polars as pl

from ivhedge.core import atomic
from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.engine.result import POLICY_TABLES, RUN_TABLES, BacktestResult, JsonValue, PolicyResult

__all__ = ["load_result", "result_to_dict", "save_result"]

_TABLES = "tables-"
_HEAD = "result.json"
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
            _write_tables(result, draft)
            place = target / f"{_TABLES}{_digest(draft)}"
            _move_in(draft, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        head = result_to_dict(result) | {"tables": place.name}
        text = json.dumps(head, indent=2, ensure_ascii=False, allow_nan=False)
        atomic.write_text(target / _HEAD, text + "\n")
        for stale in target.glob(f"{_TABLES}*"):
            if stale != place:
                shutil.rmtree(stale, ignore_errors=True)
    except OSError as exc:
        raise ConfigError(
            f"{target}: expected a folder to write to, found: {exc.strerror or exc}; choose another --out"
        ) from exc
    return target


def _write_tables(result: BacktestResult, folder: Path) -> None:
    for name in RUN_TABLES:
        getattr(result, name).write_parquet(folder / f"{name}.parquet", compression="zstd")
    for number, policy in enumerate(result.policies):
        for name in POLICY_TABLES:
            getattr(policy, name).write_parquet(folder / f"policy{number}_{name}.parquet", compression="zstd")


def _move_in(draft: Path, place: Path) -> None:
    if not place.exists():
        draft.chmod(0o755)
        draft.rename(place)
        return
    # The same content was saved before; its files are written anew in case one was damaged since.
    for path in draft.iterdir():
        path.replace(place / path.name)


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


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
    head = source / _HEAD
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
        return _assemble(raw, source / Path(str(raw["tables"])).name)
    except KeyError as exc:
        raise SchemaError(f"{head}: expected the key {exc}, found none; run the backtest again") from exc
    except (TypeError, AttributeError, ValueError) as exc:
        raise SchemaError(
            f"{head}: expected the values of a result, found another kind ({exc}); run the backtest again"
        ) from exc


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
