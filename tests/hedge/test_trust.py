"""What a plan may use of a market whose surface is not to be trusted everywhere."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from ivhedge.hedge import (
    EdgeQuote,
    HedgeMarket,
    hedge_market,
    trusted_edges,
    trusted_market,
)
from ivhedge.ledger import Book, Position
from ivhedge.surface import EssviSurface, FitSettings, SurfaceModel, fit_surface
from ivhedge.surface.stream import StreamSnapshot, SurfaceTrust, TrustSettings, TrustState
from tests.hedge._stub import book_of, option
from tests.hedge.mispricing._market import FAR, NEAR, chain, futures, snapshot
from tests.hedge.test_plan import MARKET, VEGA, plan


def market() -> HedgeMarket:
    quotes = chain(["dune"], strikes=range(80_000, 101_000, 2_000))
    fit = fit_surface(quotes, settings=FitSettings(model=SurfaceModel.ESSVI))
    return hedge_market(snapshot(quotes, futures(["dune"])), fit.surface)


def trust(near: TrustState, far: TrustState, rho_error: float = 0.0) -> SurfaceTrust:
    quotes = chain(["dune"], strikes=range(80_000, 101_000, 2_000))
    surface = fit_surface(quotes, settings=FitSettings(model=SurfaceModel.ESSVI)).surface
    assert isinstance(surface, EssviSurface)
    now = np.full(2, surface.ts_ns)
    snapshot = StreamSnapshot(
        ts_ns=surface.ts_ns, surface=surface,
        covariance=np.tile(np.diag([0.0, rho_error**2, 0.0]), (2, 1, 1)),
        drift=np.zeros(2), lag=np.zeros(2), quotes=np.full(2, 20), newest_ns=now, witnessed_ns=now,
        stale=np.zeros(2, dtype=np.bool_),
    )  # fmt: skip
    return SurfaceTrust(
        snapshot=snapshot, settings=TrustSettings(), state=(near, far), reasons=((), ()),
        atm_error=np.zeros(2), age_s=np.zeros(2), surface_ns=0,
    )  # fmt: skip


def test_blind_expiries_lose_their_options_and_nothing_else() -> None:
    whole = market()
    kept = trusted_market(whole, trust(TrustState.BLIND, TrustState.DOUBTFUL))
    gone = {i.key for i in whole.instruments} - {i.key for i in kept.instruments}
    assert gone == {i.key for i in whole.instruments if i.is_option and NEAR in i.name}
    assert gone
    assert {i.key for i in kept.instruments if not i.is_option} == {
        i.key for i in whole.instruments if not i.is_option
    }
    rows = [whole.instruments.index(i) for i in kept.instruments]
    for column in ("bid", "ask", "mark", "bid_size", "ask_size"):
        np.testing.assert_array_equal(getattr(kept, column), getattr(whole, column)[rows])


@pytest.mark.parametrize("contracts", ["5", "-5", "0.1", "-200"])
@pytest.mark.parametrize("shown", [np.nan, 3.0, 1e4])
def test_what_is_held_can_be_reduced_and_not_more(contracts: str, shown: float) -> None:
    whole = market()
    whole = replace(whole, bid_size=np.full(len(whole.bid), shown), ask_size=np.full(len(whole.bid), shown))
    mine = next(i for i in whole.instruments if i.is_option and NEAR in i.name)
    book = Book("held", (Position(mine, Decimal(contracts)),))
    kept = trusted_market(whole, trust(TrustState.BLIND, TrustState.GOOD), book=book)
    row = kept.instruments.index(mine)
    held = float(contracts)
    room = abs(held) if np.isnan(shown) else min(abs(held), shown)
    assert (kept.bid_size[row], kept.ask_size[row]) == ((room, 0.0) if held > 0.0 else (0.0, room))
    others = [i for i, item in enumerate(kept.instruments) if item != mine]
    np.testing.assert_array_equal(kept.bid_size[others], np.full(len(others), shown))


@pytest.mark.parametrize("contracts", [("5", "20"), ("-5", "-20"), ("-200", "-20"), ("200", "60")])
def test_no_plan_adds_to_or_turns_round_a_position_it_is_blind_about(contracts: tuple[str, str]) -> None:
    blind, other = option(20, "70000", False), option(30, "90000")
    book = book_of((blind, contracts[0]), (other, contracts[1]), (option(30, "70000", False), "-60"))
    seen = trusted_market(MARKET, _Blind(), book=book)
    for leg in plan(book, VEGA, market=seen).legs:
        if leg.instrument.is_option:
            held = {blind.key: float(contracts[0]), other.key: float(contracts[1])}[leg.instrument.key]
            assert float(leg.quantity) * held < 0.0
            assert abs(float(leg.quantity)) <= abs(held)


class _Blind:
    def at(self, expiry_ns: int, strike: float | None = None) -> TrustState:
        return TrustState.BLIND


def test_an_option_is_judged_at_its_own_strike() -> None:
    seen = trust(TrustState.GOOD, TrustState.GOOD, rho_error=0.4)
    surface = seen.snapshot.surface
    near = int(surface.expiries[0])
    forward = float(surface.forwards[0])
    strikes = forward * np.exp(np.linspace(0.0, 0.4, 9))
    errors = seen.snapshot.vol_error(np.log(strikes / forward), np.zeros(9, dtype=np.int64))
    states = np.array([TrustState.GOOD, TrustState.DOUBTFUL, TrustState.BLIND])
    wanted = states[np.searchsorted(TrustSettings().error, errors)].tolist()
    assert len(set(wanted)) > 1
    assert [seen.at(near, float(strike)) for strike in strikes] == wanted
    assert seen.at(near) is TrustState.GOOD
    whole = market()
    far_out = [
        i.key
        for i in whole.instruments
        if i.is_option and seen.at(int(i.expiry_ns or 0), float(i.strike or 0)) is not TrustState.GOOD
    ]
    edges = {i.key: EdgeQuote(buy=5.0, max_contracts=1.0) for i in whole.instruments}
    assert far_out
    assert set(trusted_edges(edges, whole, seen)) == set(edges) - set(far_out)


def test_edges_need_good_vols() -> None:
    whole = market()
    near = next(i.key for i in whole.instruments if i.is_option and NEAR in i.name)
    far = next(i.key for i in whole.instruments if i.is_option and FAR in i.name)
    future = next(i.key for i in whole.instruments if not i.is_option)
    edges = {key: EdgeQuote(buy=5.0, max_contracts=1.0) for key in (near, far, future, "dune:elsewhere")}
    kept = trusted_edges(edges, whole, trust(TrustState.DOUBTFUL, TrustState.GOOD))
    assert set(kept) == {far, future, "dune:elsewhere"}
    assert trusted_edges(edges, whole, trust(TrustState.GOOD, TrustState.GOOD)) == edges
