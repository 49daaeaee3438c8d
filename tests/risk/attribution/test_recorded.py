"""Three days of recorded chains: residual, exact sums, an expiry on the way."""

import itertools

import numpy as np
import polars as pl
import pytest

from ivhedge.market import read_chains
from ivhedge.risk.attribution import (
    ExplainSettings,
    ExplainStatus,
    HeldLegs,
    Role,
    SpotPath,
    explain,
    join_explanations,
    mark_legs,
)
from ivhedge.surface import fit_surface

pytestmark = pytest.mark.recorded


@pytest.fixture(scope="module")
def steps(recorded):
    chains = read_chains(recorded / "deribit_chains" / "ETH" / "2026-01.parquet")
    seen = chains.partition_by("ts", maintain_order=True)[20:29]
    hourly = pl.read_parquet(recorded / "underlying_hourly" / "ETH.parquet")
    hourly = hourly.filter(pl.col("timestamp").dt.year() == 2026).sort("timestamp")
    path = SpotPath(
        ts_ns=hourly["timestamp"].dt.epoch("ns").to_numpy(), price=hourly["open"].to_numpy().astype(float)
    )
    first = seen[0].filter(pl.col("mark") > 0.002).sort("expiry", "strike")
    chosen = first.filter(pl.int_range(pl.len()) % 9 == 0)
    return path, list(itertools.pairwise(seen)), chosen


def legs_of(chosen, ts_ns):
    held = chosen.filter(pl.col("expiry").dt.epoch("ns") > ts_ns)
    n = held.height
    return HeldLegs(
        underlying="ETH",
        names=tuple(held["instrument_name"]),
        currencies=("ETH",) * n,
        roles=(Role.BOOK,) * n,
        size=np.where(np.arange(n) % 3 == 0, 1.0, -1.0),
        is_option=np.ones(n, dtype=bool),
        is_call=held["is_call"].to_numpy(),
        is_coin=np.ones(n, dtype=bool),
        strike=held["strike"].to_numpy(),
        expiry_ns=held["expiry"].dt.epoch("ns").to_numpy(),
    )


def marked(legs, chain, path):
    surface = fit_surface(chain).published()
    rows = {r["instrument_name"]: r for r in chain.iter_rows(named=True)}
    own = [rows.get(name, {}) for name in legs.names]
    return mark_legs(
        legs,
        ts_ns=surface.ts_ns,
        spot=float(chain["index"].median()),
        price=[r.get("mark") or np.nan for r in own],
        forward=[r.get("forward") or np.nan for r in own],
        surface=surface,
        settlement=path.at(legs.expiry_ns) if legs.expiry_ns.max() <= path.ts_ns[-1] else settle(legs, path),
    )


def settle(legs, path):
    known = np.minimum(legs.expiry_ns, path.ts_ns[-1])
    return np.where(legs.expiry_ns <= path.ts_ns[-1], path.at(known), np.nan)


def test_residual_within_the_goal_and_exact_sums(steps):
    path, pairs, chosen = steps
    found, exact, change = [], [], 0.0
    for before, after in pairs:
        ts_ns = int(before["ts"].dt.epoch("ns")[0])
        legs = legs_of(chosen, ts_ns)
        start, end = marked(legs, before, path), marked(legs, after, path)
        change += float(legs.size @ (end.price - start.price))
        found.append(explain(legs, start, end, path=path))
        exact.append(explain(legs, start, end, path=path, settings=ExplainSettings(method="revaluation")))
    done, revalued = join_explanations(found), join_explanations(exact)
    assert ExplainStatus.SETTLED in done.status
    row = done.totals().row(0, named=True)
    assert row["total"] == pytest.approx(change, rel=1e-9)
    assert revalued.factors.sum() == pytest.approx(change, rel=1e-9)
    steps_share = done.by("step")["residual_share"].drop_nulls()
    assert row["residual_share"] < 0.005
    assert steps_share.quantile(0.95) < 0.02
    assert abs(row["unexplained"]) < 1e-3 * row["gross"]
    # The named parts, not the left-over ones, carry the vol move of a book of all expiries.
    by = dict(done.by("factor").select("factor", "profit").iter_rows())
    assert {"level", "term", "skew", "curvature"} < set(by)
