"""One look at a book: its contracts chosen, its surface fitted, its risk and its plan at one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.types import FloatArray
from ivhedge.engine.averages import running_averages
from ivhedge.engine.board import QuoteBoard, with_perpetual
from ivhedge.engine.bookkeeper import Bookkeeper, opening_collateral
from ivhedge.engine.hedger import MIN_HEDGE_TENOR_DAYS
from ivhedge.engine.intake import usable_quotes
from ivhedge.engine.policies import allowed_kinds, terms_of
from ivhedge.engine.spec import BookSpec, PolicyKind, PolicySpec, ReplayConfig
from ivhedge.hedge import (
    CostModel,
    HedgePlan,
    HedgeState,
    InstrumentRules,
    RiskModel,
    hedge_market,
    plan_hedge,
)
from ivhedge.ledger import Book, Position, load_fees
from ivhedge.market import MarketSnapshot
from ivhedge.risk import Exposures, SpotVolMatrix, VolShock, exposures, spot_vol_matrix
from ivhedge.surface import SurfaceFit, fit_surface
from ivhedge.surface.base import VolSurface

__all__ = ["SPOT_SHOCKS", "VOL_SHOCKS", "Desk", "open_desk"]

SPOT_SHOCKS: FloatArray = np.array([-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3])
"""Relative moves of the forwards shown in spot-vol matrices."""
VOL_SHOCKS: FloatArray = np.array([-0.2, -0.1, 0.0, 0.1, 0.2, 0.4])
"""Moves of the vols shown in spot-vol matrices, decimal vol (0.1 = ten vol points)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A book at one snapshot.

    Parameters
    ----------
    spec : BookSpec
    snapshot : MarketSnapshot
    fit : SurfaceFit
    book : Book
    warnings : tuple of str
        What of the book could not be opened.
    """

    spec: BookSpec
    snapshot: MarketSnapshot
    fit: SurfaceFit
    book: Book
    warnings: tuple[str, ...]

    @property
    def underlying(self) -> str:
        """Coin of the snapshot."""
        return self.snapshot.underlying

    @property
    def surface(self) -> VolSurface:
        """The certified surface."""
        return self.fit.published()

    @property
    def ts_ns(self) -> int:
        """Time of the snapshot."""
        return self.snapshot.ts_ns

    @property
    def index(self) -> float:
        """Index price, USD."""
        return self.snapshot.index

    @property
    def shortfall(self) -> str:
        """What a verdict has to add where part of the book is not in the figures; empty otherwise."""
        count = len(self.warnings)
        return f"; {count} part{'s' if count > 1 else ''} of the book NOT in these figures" if count else ""

    def exposures(self) -> Exposures:
        """Exposures on the surface; legs without a price have a status and are in no sum."""
        averages = running_averages(
            (p.instrument for p in self.book.positions), lambda _: self.index, self.ts_ns
        )
        surfaces = {self.underlying: self.surface}
        return exposures(self.book, surfaces, ts_ns=self.ts_ns, strict=False, settlement=averages)

    def spot_vol(self) -> SpotVolMatrix:
        """Profit over the usual spot and vol shocks, full revaluation, vol shocks in vol points."""
        return spot_vol_matrix(
            self.book,
            {self.underlying: self.surface},
            spot_shocks=SPOT_SHOCKS,
            vol_shocks=100.0 * VOL_SHOCKS,
            vol_shock=VolShock.POINTS,
            underlying=self.underlying,
            ts_ns=self.ts_ns,
            strict=False,
        )

    def plan(self, policy: PolicySpec, config: ReplayConfig) -> HedgePlan:
        """Plan the hedge that a policy asks for now.

        Raises
        ------
        ConfigError
            If the policy does not hedge.
        """
        if policy.kind is PolicyKind.NONE:
            raise ConfigError(
                f"policy {policy.name!r} does not hedge; choose one of kind delta or delta_vega"
            )
        venues = config.hedge_venues or (self.spec.venue,)
        seen = self.exposures()
        terms = terms_of(policy, self.book.positions, seen, self.underlying, config.numeraire)
        costs = CostModel(
            fees={venue: load_fees(venue) for venue in venues},
            half_spread_bps={
                InstrumentKind.PERPETUAL: config.perpetual_half_spread_bps,
                InstrumentKind.FUTURE: config.future_half_spread_bps,
            },
        )
        rules = InstrumentRules(
            venues=venues, kinds=allowed_kinds(policy), min_tenor_days=MIN_HEDGE_TENOR_DAYS
        )
        return plan_hedge(
            self.book,
            self.surface,
            hedge_market(self.snapshot, self.surface, rules=rules),
            terms.limits,
            HedgeState(trigger=terms.trigger),
            costs=costs,
            risk=RiskModel(risk_price=config.risk_price),
        )


def open_desk(snapshot: MarketSnapshot, spec: BookSpec) -> Desk:
    """Fit the snapshot's surface and choose the book's contracts on it.

    Raises
    ------
    CalibrationError, ArbitrageError
        If there is no certified surface.
    EmptyData
        If nothing of the book is quoted.
    """
    raw, _ = with_perpetual(snapshot, spec.venue)
    fit = fit_surface(raw.chain, futures=raw.futures)
    completed, _ = usable_quotes(raw)
    board = QuoteBoard.of([completed], {completed.underlying: fit.published()})
    keeper = Bookkeeper(spec)
    costs = CostModel(fees={spec.venue: load_fees(spec.venue)})
    orders = keeper.orders(board, costs)
    keeper.require_opened()
    positions = _net([Position(order.instrument, order.contracts) for order in orders])
    collateral = opening_collateral(spec, completed.underlying, completed.index)
    book = Book(spec.name, positions, (collateral,))
    return Desk(spec=spec, snapshot=completed, fit=fit, book=book, warnings=keeper.left_over())


def _net(positions: Sequence[Position]) -> tuple[Position, ...]:
    netted: dict[str, Position] = {}
    for position in positions:
        key = position.instrument.key
        known = netted.get(key)
        total = position.quantity + (known.quantity if known else 0)
        netted[key] = Position(position.instrument, total)
    return tuple(position for position in netted.values() if position.quantity != 0)
