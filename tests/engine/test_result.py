from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, SchemaError
from ivhedge.engine.result import DROPS_SCHEMA, EQUITY_SCHEMA, BacktestResult, PolicyResult


def _policy(**changes: object) -> PolicyResult:
    values: dict[str, object] = {
        "name": "none",
        "description": "",
        "equity": pl.DataFrame(),
        "attribution": pl.DataFrame(),
        "trades": pl.DataFrame(),
        "summary": {},
    }
    return PolicyResult(**(values | changes))  # type: ignore[arg-type]


def _result(**changes: object) -> BacktestResult:
    values: dict[str, object] = {
        "name": "run",
        "underlyings": ("BTC",),
        "numeraire": "coin",
        "start_ns": 0,
        "end_ns": 1,
        "n_snapshots": 0,
        "policies": (_policy(),),
    }
    return BacktestResult(**(values | changes))  # type: ignore[arg-type]


def test_tables_get_their_schema() -> None:
    assert _policy().equity.schema == pl.Schema(EQUITY_SCHEMA)
    drops = _result(drops=pl.DataFrame({"count": [3], "why": ["x"], "reason": ["stale"]})).drops
    assert drops.columns == ["reason", "count", "why"]
    assert drops.schema["count"] == DROPS_SCHEMA["count"]


def test_a_missing_column_is_named_with_its_table() -> None:
    with pytest.raises(SchemaError, match=r"policy 'none', table equity.*missing"):
        _policy(equity=pl.DataFrame({"ts": [datetime(2026, 1, 1, tzinfo=UTC)]}))


def test_summary_and_config_are_plain_and_finite() -> None:
    policy = _policy(summary={"a": np.float64(1.5), "b": float("inf"), "c": np.int64(2), "d": True})
    assert policy.summary == {"a": 1.5, "b": None, "c": 2, "d": True}
    assert _result(config={"x": (1, {"y": float("nan")})}).config == {"x": [1, {"y": None}]}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"numeraire": "eur"}, ConfigError, "numeraire"),
        ({"start_ns": 2}, ConfigError, "end after the start"),
        ({"policies": (_policy(), _policy())}, SchemaError, "unique policy names"),
        ({"config": {"a": {"when": datetime(2026, 1, 1)}}}, ConfigError, r"config\.a\.when.*datetime"),
    ],
)
def test_bad_input(changes: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        _result(**changes)


def test_a_summary_holds_no_tables() -> None:
    with pytest.raises(ConfigError, match="one number or text"):
        _policy(summary={"a": [1, 2]})


def test_the_baseline_is_the_unhedged_policy_else_the_first() -> None:
    delta, none = _policy(name="delta"), _policy()
    assert _result(policies=(delta, none)).baseline == none
    assert _result(policies=(delta,)).baseline == delta
    assert _result(policies=()).baseline is None


def test_results_compare_by_value() -> None:
    assert _result() == _result()
    assert _result() != _result(n_snapshots=1)
    assert _result(drops=pl.DataFrame({"reason": ["a"], "count": [1]})) != _result()
