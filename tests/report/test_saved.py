import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.engine.result import POLICY_TABLES, RUN_TABLES, BacktestResult, empty_table
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


def test_saving_again_heals_a_damaged_table(result: BacktestResult, tmp_path: Path) -> None:
    save_result(result, tmp_path)
    next(tmp_path.glob("tables-*/smiles.parquet")).write_bytes(b"damaged")
    next(tmp_path.glob("tables-*/policy1_trades.parquet")).unlink()
    save_result(result, tmp_path)  # the remedy that the error names
    assert load_result(tmp_path) == result


def test_names_of_any_alphabet_and_empty_tables_survive(make_result, tmp_path: Path) -> None:
    made = make_result(2, underlyings=("BTC",))
    bare = {name: empty_table(schema) for name, schema in RUN_TABLES.items()}
    odd = replace(made.policies[0], name="Δ/нейтраль <b> 中", **{n: pl.DataFrame() for n in POLICY_TABLES})
    result = replace(made, name='ψ "quoted" \\ 日本', policies=(odd,), warnings=("a\nb\t\u2028",), **bare)
    assert load_result(save_result(result, tmp_path / "größe")) == result


@pytest.mark.parametrize("stop", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("number", [0, 3, 11, 19, 26])
def test_a_save_that_dies_at_any_table_keeps_the_earlier_result(
    result: BacktestResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    number: int,
) -> None:
    save_result(result, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write, done = pl.DataFrame.write_parquet, []

    def dying(table: pl.DataFrame, *args: object, **options: object) -> None:
        if len(done) == number:
            raise stop
        done.append(table)
        write(table, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pl.DataFrame, "write_parquet", dying)
    newer = replace(result, drops=result.drops.head(1))
    with pytest.raises(ConfigError if isinstance(stop, OSError) else KeyboardInterrupt):
        save_result(newer, tmp_path)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert load_result(tmp_path) == result


def test_a_result_of_the_first_layout_is_told_apart(result: BacktestResult, tmp_path: Path) -> None:
    save_result(result, tmp_path)
    next(tmp_path.glob("tables-*")).rename(tmp_path / "tables")
    head = json.loads((tmp_path / "result.json").read_text())
    del head["tables"]
    (tmp_path / "result.json").write_text(json.dumps(head))
    with pytest.raises(SchemaError, match=r"result\.json.*'tables'.*run the backtest again"):
        load_result(tmp_path)


def test_a_place_that_cannot_be_written_is_an_error_with_a_remedy(
    result: BacktestResult, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "deep"):
        with pytest.raises(ConfigError, match="choose another --out"):
            save_result(result, folder)
    assert (tmp_path / "file").read_text() == "kept"
