"""What a plan may use of a market whose surface is not to be trusted everywhere."""

import numpy as np

from ivhedge.hedge import (
    EdgeQuote,
    HedgeMarket,
    hedge_market,
    trusted_edges,
    trusted_market,
)
from ivhedge.surface import FitSettings, SurfaceModel, fit_surface
from ivhedge.surface.stream import SurfaceTrust, TrustState
from tests.hedge.mispricing._market import FAR, NEAR, chain, expiry_ns, futures, snapshot


def market() -> HedgeMarket:
    quotes = chain(["dune"], strikes=range(80_000, 101_000, 2_000))
    fit = fit_surface(quotes, settings=FitSettings(model=SurfaceModel.ESSVI))
    return hedge_market(snapshot(quotes, futures(["dune"])), fit.surface)


def trust(near: TrustState, far: TrustState) -> SurfaceTrust:
    return SurfaceTrust(
        ts_ns=0, expiries=np.array([expiry_ns(NEAR), expiry_ns(FAR)]), state=(near, far), reasons=((), ()),
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


def test_what_is_held_can_be_reduced() -> None:
    whole = market()
    mine = next(i.key for i in whole.instruments if i.is_option and NEAR in i.name)
    kept = trusted_market(whole, trust(TrustState.BLIND, TrustState.GOOD), held=[mine])
    assert mine in {i.key for i in kept.instruments}


def test_edges_need_good_vols() -> None:
    whole = market()
    near = next(i.key for i in whole.instruments if i.is_option and NEAR in i.name)
    far = next(i.key for i in whole.instruments if i.is_option and FAR in i.name)
    future = next(i.key for i in whole.instruments if not i.is_option)
    edges = {key: EdgeQuote(buy=5.0, max_contracts=1.0) for key in (near, far, future, "dune:elsewhere")}
    kept = trusted_edges(edges, whole, trust(TrustState.DOUBTFUL, TrustState.GOOD))
    assert set(kept) == {far, future, "dune:elsewhere"}
    assert trusted_edges(edges, whole, trust(TrustState.GOOD, TrustState.GOOD)) == edges
