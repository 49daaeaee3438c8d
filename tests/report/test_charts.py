from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ivhedge.engine import series
from ivhedge.engine.figures import policy_figures
from ivhedge.engine.result import (
    ATTRIBUTION_TERMS,
    SMILES_SCHEMA,
    SPOT_VOL_SCHEMA,
    TERM_SCHEMA,
    empty_table,
)
from ivhedge.report import charts


def _smile(rows: list[tuple[float, float | None, float | None, float | None, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            ("BTC", datetime(2026, 3, 27, 8, tzinfo=UTC), 0.1, strike, 0.0, bid, ask, mid, model, "deribit")
            for strike, bid, ask, mid, model in rows
        ],
        schema=dict(SMILES_SCHEMA),
        orient="row",
    )


def _by_name(option: dict[str, object], name: str) -> list[dict[str, object]]:
    return [part for part in option["series"] if part["name"] == name]


def test_smile_tells_rich_from_cheap() -> None:
    chart = charts.smile_chart(
        _smile(
            [
                (90.0, 0.50, 0.52, 0.51, 0.45),  # the bid lies above the model: rich
                (100.0, 0.40, 0.42, 0.41, 0.45),  # the ask lies below the model: cheap
                (110.0, 0.44, 0.46, 0.45, 0.45),
                (120.0, None, 0.43, None, 0.45),  # one-sided, the ask below the model: cheap
                (130.0, None, 0.47, None, 0.45),
                (140.0, None, None, None, 0.45),  # no quote: the model's line only
            ]
        )
    )
    assert chart is not None
    strikes = {
        name: [row[0] for row in _by_name(chart.option, name)[0]["data"]] for name in ("rich", "cheap")
    }
    assert strikes == {"rich": [90.0], "cheap": [100.0, 120.0]}
    assert [row[0] for row in _by_name(chart.option, "inside bid/ask")[0]["data"]] == [110.0, 130.0]
    assert [row[0] for row in _by_name(chart.option, "model")[0]["data"]] == [90, 100, 110, 120, 130, 140]
    # Six vol points are six half-spreads here; the bar stops at the edge of the panel.
    assert _by_name(chart.option, "rich")[1]["data"] == [[90.0, 4.0, pytest.approx(6.0), pytest.approx(6.0)]]
    assert "33 % inside · 3 quotes + 2 one-sided" in chart.note
    assert _by_name(chart.option, "rejected") == _by_name(chart.option, "backbone") == []


def test_rejected_quotes_and_the_backbone_are_drawn_where_there_are_any() -> None:
    rows = _smile([(90.0, 0.50, 0.52, 0.51, 0.45), (100.0, 0.44, 0.46, 0.45, 0.45)])
    rows = rows.with_columns(rejected=pl.Series([True, False]), backbone_iv=pl.lit(0.4))
    chart = charts.smile_chart(rows)
    assert chart is not None
    quotes, residuals = _by_name(chart.option, "rejected")
    assert [(row[0], row[6]) for row in quotes["data"]] == [(90.0, 1)]
    assert [row[0] for row in residuals["data"]] == [90.0]
    assert _by_name(chart.option, "rich")[0]["data"] == []
    assert _by_name(chart.option, "backbone")[0]["data"] == [[90.0, 0.4], [100.0, 0.4]]


def test_the_term_chart_of_a_fit_has_a_step_per_expiry(make_view) -> None:
    term = make_view().term
    chart = charts.expiry_term(term)
    assert chart is not None
    assert len(_by_name(chart.option, "at the money")[0]["data"]) == term.height
    steps = _by_name(chart.option, "forward")[0]["data"]
    assert [vol for _, vol in steps[::2]] == [vol for _, vol in steps[1::2]] == term["forward_vol"].to_list()
    skew = charts.expiry_skew(term)
    assert skew is not None
    assert len(_by_name(skew.option, "25Δ butterfly")[0]["data"]) == term.height
    assert charts.expiry_term(term.clear()) is None
    assert charts.expiry_skew(term.clear()) is None


def test_a_lone_far_ask_does_not_squash_the_smile() -> None:
    chart = charts.smile_chart(_smile([(90.0, 0.4, 0.5, 0.45, 0.45), (200.0, None, 3.0, None, 0.5)]))
    assert chart is not None
    assert chart.option["yAxis"][0]["max"] < 0.7


def test_smiles_come_one_per_expiry(make_result) -> None:
    found = list(charts.smile_charts(make_result(3).smiles))
    assert len(found) == 12
    assert found[0].title == "BTC 07 Jan 2026 · 2.0 d" or found[0].title.startswith("BTC ")
    assert [chart.title[:3] for chart in found] == ["BTC"] * 6 + ["ETH"] * 6


def test_attribution_bars_and_totals_agree(make_result) -> None:
    result = make_result(217, underlyings=("BTC",))
    policy = result.policies[1]
    chart = charts.attribution_over_time(result, policy)
    assert chart is not None
    bars = [part for part in chart.option["series"] if part["type"] == "bar"]
    line = next(part for part in chart.option["series"] if part["type"] == "line")
    assert len(line["data"]) <= 70  # 216 steps are put into days
    total = sum(value for part in bars for _, value in part["data"])
    assert line["data"][-1][1] == pytest.approx(total)
    totals = charts.attribution_totals(result)
    assert totals is not None
    marks = _by_name(totals.option, "total")[0]["data"]
    assert [value for value, name in marks if name == policy.name] == [pytest.approx(total)]


def test_spot_vol_cells_stand_where_their_shocks_are() -> None:
    rows = [("p", "BTC", s, v, 1000 * s + v, 0.0) for s in (0.1, -0.1) for v in (0.05, 0.0)]
    table = pl.DataFrame(rows, schema=dict(SPOT_VOL_SCHEMA), orient="row")
    chart = charts.spot_vol_heatmap(table, "book")
    assert chart is not None
    assert chart.option["xAxis"]["data"] == ["−10 %", "+10 %"]
    assert chart.option["yAxis"]["data"] == ["0", "+5"]
    cells = {(x, y): (pnl, shade) for x, y, pnl, shade in chart.option["series"][0]["data"]}
    assert cells[0, 1][0] == pytest.approx(-99.95)
    assert cells[1, 1] == (pytest.approx(100.05), pytest.approx(1.0))
    assert cells[0, 0][1] < 0


def test_term_structure_needs_no_history(make_result) -> None:
    term = make_result(1, underlyings=("BTC",)).term
    chart = charts.term_structure(term, "BTC")
    assert chart is not None
    assert [part["name"] for part in chart.option["series"]] == ["now"]
    assert charts.atm_history(term, "BTC") is None
    assert charts.term_structure(term, "SOL") is None


def test_atm_history_is_left_out_when_tenors_wander() -> None:
    ts = [datetime(2026, 1, 1 + day, tzinfo=UTC) for day in range(12)]
    term = pl.DataFrame(
        [("BTC", at, 30.0 - i, 0.5, None, None) for i, at in enumerate(ts)],
        schema=dict(TERM_SCHEMA),
        orient="row",
    )
    assert charts.atm_history(term, "BTC") is None
    assert charts.skew_chart(term, "BTC") is None


def test_nothing_to_draw_is_no_chart(make_result) -> None:
    result = replace(make_result(1, underlyings=("BTC",)), policies=())
    assert charts.pnl_usd_chart(result) is None
    assert charts.pnl_coin_chart(result, "BTC") is None
    assert charts.drawdown_chart(result) is None
    assert charts.cost_breakdown(result) is None
    assert charts.attribution_totals(result) is None
    assert charts.exposure_chart(result, "BTC", "delta_coin") is None
    assert charts.smile_chart(empty_table(SMILES_SCHEMA)) is None
    assert charts.spot_vol_heatmap(empty_table(SPOT_VOL_SCHEMA), "x") is None


def test_axes_carry_units(make_result) -> None:
    result = make_result(10, underlyings=("ETH",))
    vega = charts.exposure_chart(result, "ETH", "vega_usd_per_vol_point")
    delta = charts.exposure_chart(result, "ETH", "delta_coin")
    coin = charts.pnl_coin_chart(result, "ETH")
    assert vega is not None
    assert delta is not None
    assert coin is not None
    assert [chart.option["yAxis"]["name"] for chart in (vega, delta, coin)] == ["USD / vol pt", "ETH", "ETH"]


def _drawn(chart, number: int) -> list[list[float]]:
    return chart.option["series"][number]["data"]


@pytest.mark.parametrize("numeraire", ["coin", "usd"])
def test_lines_are_the_series_of_the_tables(make_result, numeraire: str) -> None:
    result = make_result(30, numeraire=numeraire)
    for number, policy in enumerate(result.policies):
        path = series.pnl_usd(policy, numeraire)
        times = [int(at.timestamp() * 1000) for at in path["ts"]]
        assert _drawn(charts.pnl_usd_chart(result), number) == [
            list(pair) for pair in zip(times, path["pnl_usd"], strict=True)
        ]
        fall = series.drawdown(path)["drawdown"].to_list()
        assert [value for _, value in _drawn(charts.drawdown_chart(result), number)] == fall
        vega = series.exposure_series(policy, "ETH", "vega_usd_per_vol_point")["value"].to_list()
        chart = charts.exposure_chart(result, "ETH", "vega_usd_per_vol_point")
        assert [value for _, value in _drawn(chart, number)] == vega
        coin = series.pnl_by_currency(policy).filter(pl.col("currency") == "BTC")["pnl"].to_list()
        assert [value for _, value in _drawn(charts.pnl_coin_chart(result, "BTC"), number)] == coin


def test_costs_are_the_figures_of_the_tables(make_result) -> None:
    result = make_result(30)
    figures = [policy_figures(policy, "coin") for policy in result.policies]
    fees, slippage, funding = (part["data"] for part in charts.cost_breakdown(result).option["series"])
    assert fees == [item.fees_usd for item in figures]
    assert slippage == [item.slippage_usd for item in figures]
    assert funding == [-item.funding_usd for item in figures]


@pytest.mark.parametrize(
    ("step", "count", "width"),
    [
        (timedelta(minutes=1), 120, "5 min"),
        (timedelta(hours=1), 100, "2 h"),
        (timedelta(hours=6), 217, "day"),
        (timedelta(hours=6), 60, "step"),
        (timedelta(days=1), 900, "30 d"),
    ],
)
def test_bars_are_few_and_lose_nothing(make_result, step: timedelta, count: int, width: str) -> None:
    result = make_result(count + 1, underlyings=("BTC",))
    policy = result.policies[1]
    first = policy.equity["ts"][0]

    def stretched(table: pl.DataFrame, start: int) -> pl.DataFrame:
        times = [first + (start + n) * step for n in range(table.height)]
        return table.with_columns(pl.Series("ts", times, dtype=table.schema["ts"]))

    policy = replace(policy, equity=stretched(policy.equity, 0), attribution=stretched(policy.attribution, 1))
    chart = charts.attribution_over_time(result, policy)
    assert chart.note.startswith(f"USD per {width}, stacked")
    terms = series.attribution_usd(policy)
    for number, term in enumerate(ATTRIBUTION_TERMS):
        data = _drawn(chart, number)
        assert 30 * (count > 70) / 2 <= len(data) <= 72
        assert sum(value for _, value in data) == pytest.approx(float(terms[term].sum()), abs=1e-6)
    assert _drawn(chart, len(ATTRIBUTION_TERMS))[-1][1] == pytest.approx(float(terms["total"].sum()))
