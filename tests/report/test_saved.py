import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.engine.result import BacktestResult
from ivhedge.report import load_result, result_to_dict, save_result


@pytest.fixture(scope="module")
def result(make_result) -> BacktestResult:
    made = make_result(8)
    odd = replace(
        made.policies[0],
        summary={"pnl_usd": float("nan"), "third": 1 / 3, "n_trades": 2, "note": "−", "identity_exact": True},
        journal=made.policies[0].journal.with_columns(pl.Series("cost", [0.1, None, float("nan")])),
    )
    return replace(made, policies=(odd, *made.policies[1:]))


def test_round_trip_is_exact(result: BacktestResult, tmp_path: Path) -> None:
    assert load_result(save_result(result, tmp_path)) == result


def test_a_changed_cell_is_a_different_result(result: BacktestResult) -> None:
    moved = result.term.with_columns(pl.col("atm_vol") + 1e-15)
    assert replace(result, term=moved) != result


def test_json_holds_no_nan(result: BacktestResult, tmp_path: Path) -> None:
    save_result(result, tmp_path)
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"found {name}"))
    assert result_to_dict(result)["policies"][0]["summary"]["pnl_usd"] is None


def test_saving_again_replaces_and_leaves_other_files(result: BacktestResult, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("kept")
    save_result(result, tmp_path)
    newer = replace(result, drops=result.drops.head(1))
    save_result(newer, tmp_path)
    save_result(newer, tmp_path)
    assert load_result(tmp_path) == newer
    names = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert names == ["notes.txt", "result.json", "tables"]


def test_a_failing_save_keeps_the_earlier_result(
    result: BacktestResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_result(result, tmp_path)

    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        save_result(replace(result, drops=result.drops.head(1)), tmp_path)
    assert load_result(tmp_path) == result


def test_no_result_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a backtest's result\.json"):
        load_result(tmp_path)


@pytest.mark.parametrize(
    "damage",
    ['{"format": 1', "[]", '{"format": 99}', '{"format": 1}', '{"format": 1, "tables": "t", "policies": 3}'],
)
def test_a_damaged_head_is_a_schema_error(tmp_path: Path, damage: str) -> None:
    (tmp_path / "result.json").write_text(damage)
    with pytest.raises(SchemaError, match=r"result\.json"):
        load_result(tmp_path)


def test_a_damaged_or_missing_table_is_named(result: BacktestResult, tmp_path: Path) -> None:
    save_result(result, tmp_path)
    table = next(tmp_path.glob("tables-*/smiles.parquet"))
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(SchemaError, match=r"smiles\.parquet"):
        load_result(tmp_path)
    table.unlink()
    with pytest.raises(SchemaError, match=r"smiles\.parquet"):
        load_result(tmp_path)
