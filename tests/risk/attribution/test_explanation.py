import numpy as np
import polars as pl
import pytest

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.risk.attribution import (
    CARRY,
    ExplainSettings,
    Flows,
    HeldLegs,
    Role,
    explain,
    join_explanations,
)

from .._stub import option, perpetual
from ._book import T0, book, hourly, marked, surface

T1, T2 = T0 + 6 * NS_PER_HOUR, T0 + 11 * NS_PER_HOUR
SEEN = (surface(T0), surface(T1, spot=91_500.0, level=0.52), surface(T2, spot=89_000.0, level=0.56))


def explained(i, coin=True, **how):
    legs = book(coin=coin)
    flows = Flows(funding=[0, 0, 0, 0, 0.0004, 0], fees=-0.0001)
    return explain(legs, marked(legs, SEEN[i]), marked(legs, SEEN[i + 1]), path=hourly(), flows=flows, **how)


@pytest.mark.parametrize("how", [{}, {"settings": ExplainSettings(method="revaluation")}])
@pytest.mark.parametrize("key", ["leg", "expiry", "role", "step", "factor", "term"])
def test_every_view_adds_up_to_the_total_of_each_currency(key, how):
    done = explained(0, **how)
    view = done.by(key)
    column = "profit" if key in ("factor", "term") else "total"
    sums = dict(view.group_by("currency").agg(pl.col(column).sum()).iter_rows())
    for code in ("BTC", "USDC"):
        mine = [c == code for c in done.currencies]
        assert sums[code] == pytest.approx(done.total[:, mine].sum(), rel=1e-9)


def test_totals_take_hedge_and_carry_apart():
    done = explained(0)
    table = done.totals()
    for row in table.iter_rows(named=True):
        mine = [c == row["currency"] for c in done.currencies]
        assert row["total"] == pytest.approx(done.total[:, mine].sum(), rel=1e-9)
        parts = sum(row[n] for n in ("book", "hedge", "carry", "trading", "residual", "unexplained"))
        assert parts == pytest.approx(row["total"], rel=1e-9)
        carry = sum(row[n] for n in ("theta", "basis_roll", "funding", "fees"))
        assert carry == pytest.approx(row["carry"], rel=1e-9)
        assert 0.0 <= row["residual_share"] < 0.01
    coin = table.row(0, named=True)
    assert coin["funding"] == pytest.approx(0.0004)
    assert coin["fees"] == pytest.approx(-0.0005)
    # What market moves did to the perpetual and the hedge option, without their carry.
    hedges = [
        i
        for i, (r, c) in enumerate(zip(done.roles, done.currencies, strict=True))
        if r == "hedge" and c == "BTC"
    ]
    moves = [
        i for i, n in enumerate(done.factor_names) if n not in (*CARRY, "residual", "unexplained", "trading")
    ]
    assert coin["hedge"] == pytest.approx(done.factors[:, hedges][:, :, moves].sum(), rel=1e-12)
    assert coin["hedge"] != 0.0


def test_gross_is_net_over_legs_and_absolute_over_steps_and_terms():
    done = explained(0)
    mine = [c == "BTC" for c in done.currencies]
    drop = ("funding", "fees", "trading", "residual", "unexplained")
    terms = [i for i, n in enumerate(done.term_names) if n not in drop]
    gross = np.abs(done.terms[:, mine][:, :, terms].sum(axis=1)).sum()
    residual = abs(done.terms[:, mine, done.term_names.index("residual")].sum())
    row = done.totals().row(0, named=True)
    assert row["gross"] == pytest.approx(gross, rel=1e-12)
    assert row["residual_share"] == pytest.approx(residual / gross, rel=1e-9)
    steps = done.by("step").filter(pl.col("currency") == "BTC")
    assert steps["gross"].sum() == pytest.approx(gross, rel=1e-12)
    assert steps.height == done.start_ns.size
    assert steps["residual_share"].is_between(0.0, 0.05).all()


def test_the_table_has_a_row_per_step_and_leg():
    done = explained(0)
    table = done.table()
    assert table.height == done.start_ns.size * len(done.legs)
    assert table["total"].sum() == pytest.approx(done.total.sum(), rel=1e-12)
    assert table.filter(pl.col("leg") == "perpetual")["expiry"].null_count() == done.start_ns.size
    assert set(done.factor_names) < set(done.table("factor").columns)
    assert table["start"].dtype == pl.Datetime("ns", "UTC")


def test_joined_steps_add_up_and_a_leg_not_held_is_zero():
    first, second = explained(0), explained(1)
    fewer = HeldLegs(
        underlying="BTC",
        names=("put1", "new"),
        currencies=("BTC", "BTC"),
        roles=(Role.BOOK, Role.BOOK),
        size=np.array([1.0, 1.0]),
        is_option=np.array([True, True]),
        is_call=np.array([False, True]),
        is_coin=np.array([True, True]),
        strike=np.array([86_000.0, 99_000.0]),
        expiry_ns=first.expiry_ns[:1].repeat(2),
    )
    other = explain(fewer, marked(fewer, SEEN[1]), marked(fewer, SEEN[2]))
    whole = join_explanations([first, second, other])
    assert whole.total.sum() == pytest.approx(first.total.sum() + second.total.sum() + other.total.sum())
    assert whole.legs == (*first.legs, "new")
    by_leg = whole.by("leg").filter(pl.col("leg") == "new")
    assert by_leg["total"].item() == pytest.approx(other.total[:, 1].sum())
    with pytest.raises(DataError, match="one method"):
        join_explanations([first, explained(1, settings=ExplainSettings(method="revaluation"))])
    with pytest.raises(DataError, match="put1"):
        join_explanations([first, explained(1, coin=False)])
    with pytest.raises(DataError, match="at least one"):
        join_explanations([])


def test_converted_sums_run_over_all_legs():
    done = explained(0).converted({"BTC": 91_500.0, "USDC": 1.0})
    assert set(done.currencies) == {"USD"}
    row = done.totals().row(0, named=True)
    coin, dollars = explained(0).totals()["total"]
    assert row["total"] == pytest.approx(coin * 91_500.0 + dollars, rel=1e-12)
    with pytest.raises(DataError, match="USDC"):
        explained(0).converted({"BTC": 91_500.0})


def test_legs_of_instruments():
    legs = HeldLegs.of([(option(), 2), (perpetual(), -100), (perpetual(coin=False, days=90), 5)])
    assert legs.size.tolist() == [2.0, -1000.0, 0.0005]
    assert legs.currencies == ("BTC", "BTC", "USDC")
    assert legs.expiry_ns[1] == 0
    assert legs.roles == (Role.BOOK,) * 3
    with pytest.raises(DataError, match="one underlying"):
        HeldLegs.of([(option(), 1), (option(underlying="ETH"), 1)])
    with pytest.raises(DataError, match="found none"):
        HeldLegs.of([])
    with pytest.raises(DataError, match="twice"):
        HeldLegs.of([(option(), 1), (option(), 1)])


def test_bad_keys():
    done = explained(0)
    with pytest.raises(ConfigError, match="colour"):
        done.by("colour")
    with pytest.raises(ConfigError, match="detail"):
        done.table("greeks")
    legs = book()
    values = {n: getattr(legs, n) for n in HeldLegs.__slots__}
    with pytest.raises(DataError, match="roles"):
        HeldLegs(**values | {"roles": legs.roles[:2]})
    with pytest.raises(DataError, match="perpetual: expected a finite size"):
        HeldLegs(**values | {"size": np.where(np.arange(6) == 4, np.nan, 1.0)})
