"""Fair bands, mispricings net of costs, reversion, and what a plan makes of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.hedge import HedgeLimits, HedgeState, InstrumentRules, hedge_market, plan_hedge
from ivhedge.hedge.mispricing import (
    BandSettings,
    MispricingScan,
    Reversion,
    StatisticalSettings,
    edge_quotes,
    estimate_reversion,
    executable_offers,
    fair_band,
    mispricings,
    static_arbitrages,
)
from ivhedge.ledger import Book
from ivhedge.market import MarketSnapshot, quote_vols
from ivhedge.surface import FitSettings, SurfaceFit, SurfaceModel, fit_surface
from tests.hedge.mispricing._market import COSTS, NEAR, chain, futures, moved, price, snapshot

STRIKES = tuple(range(78_000, 104_000, 1_000))
SOON = Reversion.assumed(60.0)
HOUR = timedelta(hours=1)


def fitted(quotes: pl.DataFrame) -> SurfaceFit:
    return fit_surface(quotes, settings=FitSettings(model=SurfaceModel.ESSVI))


def scan(
    quotes: pl.DataFrame,
    fit: SurfaceFit,
    rules: StatisticalSettings | None = None,
    reversion: Reversion = SOON,
) -> MispricingScan:
    market = snapshot(quotes)
    band = fair_band(quote_vols(quotes, fit.forwards), fit.surface)
    return mispricings(executable_offers(market, COSTS), band, COSTS, reversion=reversion, settings=rules)


@pytest.fixture(scope="module")
def fair() -> pl.DataFrame:
    return chain(["aurora", "dune"], half=0.003, strikes=STRIKES)


@pytest.fixture(scope="module")
def fit(fair: pl.DataFrame) -> SurfaceFit:
    return fitted(fair)


def test_fair_quotes_are_no_mispricings(fair: pl.DataFrame, fit: SurfaceFit) -> None:
    found = scan(fair, fit)
    assert found.quotes == ()
    assert found.pairs == ()
    assert found.judged > 0.9 * 2 * fair.height


@pytest.mark.parametrize(("side", "factor"), [(1, 0.8), (-1, 1.25)])
def test_a_quote_far_off_is_found_alone(fair: pl.DataFrame, side: int, factor: float) -> None:
    name = f"BTC-{NEAR}-95000-C"
    bid, ask = (factor * price(fair, "dune", name, column) for column in ("bid", "ask"))
    quotes = moved(fair, "dune", name, bid=bid, ask=ask)
    found = scan(quotes, fitted(quotes)).quotes
    assert [(q.offer.key, q.offer.side) for q in found] == [(f"dune:{name}", side)]
    (q,) = found
    assert q.z > 3.0
    assert q.edge_usd < q.gross_usd
    assert q.fair_price == pytest.approx(price(fair, "dune", name, "bid"), rel=0.05)
    assert q.capacity_usd == pytest.approx(q.edge_usd * 5.0)
    row = scan(quotes, fitted(quotes)).table().row(0, named=True)
    assert row["kind"] == "quote"
    assert (row["buy"] if side > 0 else row["sell"]) == f"dune:{name}"


def test_costs_and_patience_decide(fair: pl.DataFrame) -> None:
    name = f"BTC-{NEAR}-95000-C"
    quotes = moved(fair, "dune", name, **{c: 0.8 * price(fair, "dune", name, c) for c in ("bid", "ask")})
    fit = fitted(quotes)
    (q,) = scan(quotes, fit).quotes
    dear = StatisticalSettings(hedge_bps=500.0)
    assert scan(quotes, fit, dear).quotes == ()
    assert scan(quotes, fit, reversion=Reversion.assumed(float("inf"))).quotes == ()
    (slow,) = scan(quotes, fit, reversion=Reversion.assumed(3600.0)).quotes
    assert slow.edge_usd < q.edge_usd
    assert slow.gross_usd == q.gross_usd
    assert scan(quotes, fit, StatisticalSettings(min_z=1e6)).quotes == ()


def test_what_a_band_cannot_know_is_counted(fair: pl.DataFrame, fit: SurfaceFit) -> None:
    narrow = fair.filter((pl.col("strike") % 10_000 == 0) & (pl.col("venue") == "dune"))
    band = fair_band(quote_vols(narrow, fit.forwards), fit.surface, settings=BandSettings(bandwidth=0.01))
    assert not band.judged.any()
    assert np.isnan(band.vol).all()
    found = mispricings(executable_offers(snapshot(narrow), COSTS), band, COSTS, reversion=SOON)
    assert found.excluded["dune"]["no_band"] == 2 * narrow.height
    assert found.judged == 0


def test_a_venue_that_stands_still_is_not_judged(fair: pl.DataFrame, fit: SurfaceFit) -> None:
    old = pl.when(pl.col("venue") == "dune").then(0.98).otherwise(1.0)
    frozen = fair.with_columns(forward=pl.col("forward") * old)
    band = fair_band(
        quote_vols(frozen, fitted(fair.filter(pl.col("venue") == "aurora")).forwards), fit.surface
    )
    mine = np.array([venue == "dune" for venue in band.quotes.venue])
    assert not band.judged[mine].any()
    assert band.judged[~mine].all()


def test_the_quote_judged_has_no_say(fair: pl.DataFrame, fit: SurfaceFit) -> None:
    name = f"BTC-{NEAR}-95000-C"
    quotes = moved(fair, "dune", name, **{c: 0.7 * price(fair, "dune", name, c) for c in ("bid", "ask")})
    before = fair_band(quote_vols(fair, fit.forwards), fit.surface)
    after = fair_band(quote_vols(quotes, fit.forwards), fit.surface)
    row = before.keys().index(f"dune:{name}")
    assert after.vol[row] == pytest.approx(before.vol[row], abs=1e-6)
    assert after.deviation[row] < before.deviation[row] - 0.02


def test_pairs_net_of_fees_and_settlement() -> None:
    quotes = chain(["aurora", "borealis"], half=0.003, strikes=STRIKES)
    name = f"BTC-{NEAR}-95000-C"
    ask = price(quotes, "borealis", name, "ask")
    quotes = moved(quotes, "aurora", name, bid=ask + 0.004, ask=ask + 0.006)
    found = scan(quotes, fitted(quotes)).pairs
    assert [(p.buy.key, p.sell.key) for p in found] == [(f"borealis:{name}", f"aurora:{name}")]
    assert found[0].edge_usd < found[0].gross_usd == pytest.approx(0.004 * 90_000.0)
    assert found[0].coins == pytest.approx(5.0 * float(found[0].buy.instrument.multiplier))
    assert scan(quotes, fitted(quotes), StatisticalSettings(index_error=0.01)).pairs == ()


def test_a_plan_takes_what_is_handed_to_it(fair: pl.DataFrame) -> None:
    name = f"BTC-{NEAR}-95000-C"
    quotes = moved(fair, "dune", name, **{c: 0.75 * price(fair, "dune", name, c) for c in ("bid", "ask")})
    fit, view = fitted(quotes), snapshot(quotes, futures(["aurora", "dune"]))
    found = scan(quotes, fit).quotes
    key = f"dune:{name}"
    market = hedge_market(view, fit.surface, rules=InstrumentRules(options_per_expiry=2), also=[key])
    handed = edge_quotes(found, market, COSTS)
    assert set(handed.edges) == {key}
    assert handed.missing == ()
    row = next(i for i, item in enumerate(market.instruments) if item.key == key)
    unit = COSTS.unit_cost(market.instruments[row], market.quote(row))
    assert handed.edges[key].buy - unit.buy == pytest.approx(found[0].edge_usd)
    assert handed.edges[key].sell == -handed.edges[key].buy
    assert handed.edges[key].max_contracts == 5.0
    args = (Book("flat"), fit.surface, market, HedgeLimits(), HedgeState())
    without = plan_hedge(*args, costs=COSTS)
    plan = plan_hedge(*args, costs=COSTS, edges=handed.edges)
    assert all(leg.instrument.key != key for leg in without.legs)
    (leg,) = [leg for leg in plan.legs if leg.instrument.key == key]
    assert 0 < leg.quantity <= 5


def cheap(quotes: pl.DataFrame, *strikes: int) -> pl.DataFrame:
    """Calls of dune to be had for 800 dollars less; what they are marked at stays."""
    for strike in strikes:
        name = f"BTC-{NEAR}-{strike}-C"
        low = {side: price(quotes, "dune", name, side) - 800.0 for side in ("bid", "ask")}
        quotes = moved(quotes, "dune", name, **low)
    return quotes


def test_a_finding_with_a_leg_missing_is_not_handed_on(fair: pl.DataFrame) -> None:
    quotes = cheap(fair, 90_000)
    view = snapshot(quotes, futures(["dune"]))
    found = static_arbitrages(executable_offers(view, COSTS), COSTS).findings
    few = hedge_market(view, fitted(fair).surface, rules=InstrumentRules(options_per_expiry=0))
    handed = edge_quotes(found, few, COSTS)
    keys = {leg.offer.key for f in found for leg in f.legs}
    assert found
    assert handed.edges == {}
    assert set(handed.missing) == keys - {item.key for item in few.instruments}
    assert [finding for finding, _ in handed.dropped] == list(found)
    assert all("not in the market" in reason for _, reason in handed.dropped)


def test_arbitrages_that_share_a_leg_add_up_and_their_gain_goes_to_what_is_off(fair: pl.DataFrame) -> None:
    quotes = cheap(fair, 88_000, 92_000)
    marks = pl.Series([0.5 * (b + a) for b, a in fair.select("bid", "ask").iter_rows()])
    quotes = quotes.with_columns(mark=marks)
    view = snapshot(quotes, futures(["dune"]))
    found = static_arbitrages(executable_offers(view, COSTS), COSTS).findings
    needed: dict[str, float] = {}
    for finding in found:
        for leg in finding.legs:
            needed[leg.offer.key] = needed.get(leg.offer.key, 0.0) + float(leg.contracts)
    market = hedge_market(view, fitted(fair).surface, also=needed)
    handed = edge_quotes(found, market, COSTS)
    off = {f"dune:BTC-{NEAR}-{strike}-C" for strike in (88_000, 92_000)}
    assert off <= set(handed.edges)
    if not handed.dropped:
        for key in off:
            assert handed.edges[key].max_contracts == pytest.approx(needed[key])
    total = 0.0
    for key, edge in handed.edges.items():
        row = next(i for i, item in enumerate(market.instruments) if item.key == key)
        unit = COSTS.unit_cost(market.instruments[row], market.quote(row))
        gain = edge.buy - unit.buy if edge.buy > 0.0 else edge.sell - unit.sell
        assert gain <= 801.0
        total += gain * edge.max_contracts
    kept = [f for f in found if f not in [dropped for dropped, _ in handed.dropped]]
    assert total == pytest.approx(sum(f.profit_usd for f in kept), rel=1e-6)


@pytest.mark.parametrize("change", ["dearer", "gone"])
def test_a_gift_that_is_gone_is_not_handed_on(fair: pl.DataFrame, change: str) -> None:
    name = f"BTC-{NEAR}-95000-C"
    quotes = moved(fair, "dune", name, **{c: 0.75 * price(fair, "dune", name, c) for c in ("bid", "ask")})
    found = scan(quotes, fitted(quotes)).quotes
    now = fair if change == "dearer" else moved(quotes, "dune", name, ask_size=0.0)
    market = hedge_market(snapshot(now, futures(["dune"])), fitted(quotes).surface, also=[f"dune:{name}"])
    handed = edge_quotes(found, market, COSTS)
    assert handed.edges == {}
    ((finding, reason),) = handed.dropped
    assert finding == found[0]
    assert ("prices have moved" if change == "dearer" else "no quote on its side") in reason


def test_a_size_is_counted_in_one_pair_only() -> None:
    quotes = chain(["aurora", "borealis", "deribit"], half=0.003, strikes=STRIKES)
    name = f"BTC-{NEAR}-95000-C"
    for venue in ("borealis", "deribit"):
        bid = price(quotes, "aurora", name, "ask") + 0.004
        quotes = moved(quotes, venue, name, bid=bid, ask=bid + 0.0005)
    found = [p for p in scan(quotes, fitted(quotes)).pairs if p.buy.key == f"aurora:{name}"]
    assert found
    assert sum(p.coins for p in found) <= found[0].buy.contracts * float(found[0].buy.instrument.multiplier)


def test_an_instrument_that_comes_twice_is_refused(fair: pl.DataFrame) -> None:
    twice = pl.concat([fair, fair.head(1)])
    with pytest.raises(DataError, match="each instrument once"):
        executable_offers(snapshot(twice, futures(["dune"])), COSTS)


@pytest.mark.parametrize("wrong", [{"n_boot": 0}, {"blocks": 1}, {"max_gap_s": float("nan")}])
def test_reversion_refuses_nonsense(wrong: dict[str, float]) -> None:
    table = pl.DataFrame(
        schema={"ts": pl.Datetime("ns", "UTC"), "venue": pl.String, "instrument_name": pl.String,
                "deviation": pl.Float64, "half_spread": pl.Float64}
    )  # fmt: skip
    with pytest.raises(ConfigError, match="n_boot"):
        estimate_reversion(table, rng=np.random.default_rng(0), **{"max_gap_s": 60.0, **wrong})


@settings(max_examples=10, deadline=None)
@given(half_life=st.floats(2_400.0, 40_000.0), seed=st.integers(0, 100))
def test_reversion_finds_a_known_half_life(half_life: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = [datetime(2026, 1, 1, tzinfo=UTC) + i * HOUR for i in range(120)]
    keep = 2.0 ** (-3600.0 / half_life)
    off = rng.normal(0.0, 3.0, 40)
    rows = []
    for time in times:
        rows += [(time, "a", str(i), x * 0.01, 0.01) for i, x in enumerate(off)]
        off = keep * off + np.sqrt(1.0 - keep**2) * rng.normal(0.0, 3.0, off.size)
    table = pl.DataFrame(
        rows, schema=["ts", "venue", "instrument_name", "deviation", "half_spread"], orient="row"
    )
    found = estimate_reversion(table, rng=np.random.default_rng(1), max_gap_s=7200.0, n_boot=100)
    assert found.half_life_s == pytest.approx(half_life, rel=0.25)
    assert 0.75 * found.low_s <= half_life <= 1.35 * found.high_s
    assert 0.0 < found.share(3600.0) < 1.0


def test_bad_input(fair: pl.DataFrame, fit: SurfaceFit) -> None:
    vols = quote_vols(fair, fit.forwards)
    with pytest.raises(DataError, match="one underlying"):
        fair_band(replace(vols, underlying="ETH"), fit.surface)
    with pytest.raises(DataError, match="within 60 s"):
        fair_band(replace(vols, ts_ns=vols.ts_ns + 3600 * 10**9), fit.surface)
    band = fair_band(vols, fit.surface)
    view = snapshot(fair)
    later = MarketSnapshot(
        ts_ns=view.ts_ns + 1, underlying="BTC", index=view.index, chain=view.chain, futures=view.futures
    )
    with pytest.raises(DataError, match="one moment"):
        mispricings(executable_offers(later, COSTS), band, COSTS, reversion=SOON)
    with pytest.raises(ConfigError, match=r"aurora"):
        mispricings(executable_offers(view, COSTS), band, COSTS, reversion={"dune": SOON})
    with pytest.raises(ConfigError, match="min_z"):
        StatisticalSettings(min_z=float("nan"))
    with pytest.raises(ConfigError, match="bandwidth"):
        BandSettings(bandwidth=0.0)
    with pytest.raises(ConfigError, match="half-lives"):
        Reversion.assumed(0.0)
    with pytest.raises(ConfigError, match="max_age_s"):
        executable_offers(view, COSTS, max_age_s=-1.0)
    table = pl.DataFrame({"ts": [], "venue": []})
    with pytest.raises(DataError, match="missing"):
        estimate_reversion(table, rng=np.random.default_rng(0), max_gap_s=1.0)
    history = pl.DataFrame(
        {"ts": [datetime(2026, 1, 1, tzinfo=UTC)], "venue": ["a"], "instrument_name": ["x"],
         "deviation": [0.1], "half_spread": [0.01]}
    )  # fmt: skip
    with pytest.raises(EmptyData, match="assumed"):
        estimate_reversion(history, rng=np.random.default_rng(0), max_gap_s=1.0)


def test_quotes_of_another_time_are_no_offers(fair: pl.DataFrame) -> None:
    old = fair.with_columns(ts_event=pl.col("ts") - pl.duration(seconds=30))
    assert executable_offers(snapshot(old), COSTS, max_age_s=10.0).offers == ()
    assert executable_offers(snapshot(old), COSTS, max_age_s=60.0).offers
    ahead = fair.with_columns(ts_event=pl.col("ts") + pl.duration(seconds=5))
    offers = executable_offers(snapshot(ahead), COSTS, max_age_s=60.0)
    assert offers.excluded["dune"] == {"future_dated": fair.height}
