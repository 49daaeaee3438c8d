from dataclasses import replace

import polars as pl

from ivhedge.report.verdict import Tone, verdicts


def test_a_cut_is_told_with_its_price(make_result) -> None:
    result = make_result(60, underlyings=("BTC",))
    line = verdicts(result)[0]
    assert line.tone is Tone.GOOD
    assert line.text.startswith("delta 6h cut the standard deviation of P&L by ")
    assert " USD per 6 h step) at a cost of " in line.text
    assert " BTC (" in line.text


def test_a_hedge_that_raises_risk_is_called_so(make_result) -> None:
    result = make_result(60, underlyings=("BTC",))
    none, worse = result.policies[:2]
    worse = replace(worse, equity=none.equity.with_columns(pl.col("equity") * 3, pl.col("equity_usd") * 3))
    line = verdicts(replace(result, policies=(none, worse)))[0]
    assert line.tone is Tone.BAD
    assert "delta 6h raised the standard deviation of P&L by 200 % against none" in line.text


def test_books_that_do_not_close_are_bad_news(make_result) -> None:
    result = make_result(6, underlyings=("BTC",))
    first, second = result.policies[:2]
    broken = replace(second, summary={"identity_exact": False})
    texts = [line for line in verdicts(replace(result, policies=(first, broken))) if "identity" in line.text]
    assert [(line.tone, line.text) for line in texts] == [
        (Tone.BAD, "The money identity is BROKEN under: delta 6h.")
    ]
    unchecked = replace(second, summary={}, identity=pl.DataFrame())
    assert any(
        "not checked under: delta 6h" in v.text for v in verdicts(replace(result, policies=(unchecked,)))
    )


def test_a_fit_without_certificate_is_bad_news(make_result) -> None:
    result = make_result(5, underlyings=("BTC",))
    surfaces = result.surfaces.with_columns(pl.Series("certificate_valid", [True, False, True, True, True]))
    line = next(v for v in verdicts(replace(result, surfaces=surfaces)) if "certified" in v.text)
    assert line.tone is Tone.BAD
    assert "on 4 of 5 fits" in line.text


def test_a_large_residual_is_bad_news(make_result) -> None:
    result = make_result(5, underlyings=("BTC",))
    policy = replace(result.policies[0], summary={"identity_exact": True, "residual_share_of_gross": 0.12})
    line = verdicts(replace(result, policies=(policy,)))[-1]
    assert line.tone is Tone.BAD
    assert "at most 12.0 % of gross (none" in line.text


def test_a_policy_that_changed_nothing_is_neither_praised_nor_blamed(make_result) -> None:
    result = make_result(20, underlyings=("BTC",))
    none, idle = result.policies[:2]
    idle = replace(idle, equity=none.equity)
    line = verdicts(replace(result, policies=(none, idle)))[0]
    assert line.tone is Tone.PLAIN
    assert "delta 6h left the standard deviation of P&L as it was against none" in line.text
    assert "cut" not in line.text


def test_a_difference_in_the_identity_table_is_not_talked_away(make_result) -> None:
    result = make_result(6, underlyings=("BTC",))
    first = result.policies[0]
    off = replace(first, identity=first.identity.with_columns(difference=pl.lit("0.00000001")))
    assert off.summary["identity_exact"] is True
    texts = [line.text for line in verdicts(replace(result, policies=(off,)))]
    assert "The money identity is BROKEN under: none." in texts


def test_a_run_without_anything_says_so(make_result) -> None:
    result = replace(make_result(2), policies=(), surfaces=pl.DataFrame())
    assert [line.text for line in verdicts(result)] == ["No surface was fitted in this run."]
