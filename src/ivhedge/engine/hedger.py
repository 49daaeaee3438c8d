"""Hedging an account under a policy: candidates, terms, plan, execution."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ivhedge.engine.account import Account
from ivhedge.engine.averages import running_averages
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.guidance import Guidance
from ivhedge.engine.policies import allowed_kinds, objective_of, ratio_of, terms_of, with_vega
from ivhedge.engine.spec import PolicyKind, PolicySpec, ReplayConfig
from ivhedge.hedge import (
    HedgeMarket,
    HedgePlan,
    HedgeState,
    HoldingPeriod,
    InstrumentRules,
    PlanStatus,
    RiskModel,
    hedge_market,
    plan_hedge,
)
from ivhedge.ledger import Book
from ivhedge.risk import exposures

__all__ = ["MIN_HEDGE_TENOR_DAYS", "Hedger"]

MIN_HEDGE_TENOR_DAYS = 4.0
"""Options nearer to expiry are no new hedges: their gamma outgrows what they were bought for."""

Timer = Callable[[str], AbstractContextManager[None]]


@dataclass(slots=True)
class Hedger:
    """Runs every policy's hedge on a board and remembers when each hedged last.

    Parameters
    ----------
    config : ReplayConfig
    venues : tuple of str
        Where hedges may be traded.
    timed : callable
        Gives a context manager that adds the time spent to a named stage.
    guidance : Guidance
        What has been learnt from the surfaces and prices so far.
    """

    config: ReplayConfig
    venues: tuple[str, ...]
    timed: Timer
    guidance: Guidance
    _last_hedge_ns: dict[tuple[str, str], int] = field(default_factory=dict)
    _markets: dict[tuple[str, InstrumentRules, frozenset[str]], HedgeMarket] = field(default_factory=dict)
    _markets_ns: int = -1

    def hedge(
        self, policy: PolicySpec, account: Account, own_keys: frozenset[str], board: QuoteBoard
    ) -> None:
        """Plan and execute one policy's hedge of every underlying.

        Parameters
        ----------
        policy : PolicySpec
        account : Account
        own_keys : frozenset of str
            The book's own contracts.
        board : QuoteBoard
        """
        if policy.kind is PolicyKind.NONE:
            return
        for underlying in board.snapshots:
            with self.timed("plan"):
                plan = self._plan(policy, account, own_keys, board, underlying)
            with self.timed("execution"):
                for leg in plan.legs:
                    account.trade(leg.instrument, leg.quantity, board, "hedge", leg.reason)
            if plan.status in (PlanStatus.BEST_EFFORT, PlanStatus.SOLVER_FAILED):
                account.note(board.ts_ns, plan.status.value, f"{underlying}: {plan.reason}")
            if plan.legs:
                self._last_hedge_ns[(policy.name, underlying)] = board.ts_ns

    def _plan(
        self,
        policy: PolicySpec,
        account: Account,
        own_keys: frozenset[str],
        board: QuoteBoard,
        underlying: str,
    ) -> HedgePlan:
        book = account.worth() if self.config.numeraire == "usd" else account.book()
        own = [
            position
            for position in book.positions
            if position.instrument.key in own_keys and position.instrument.underlying == underlying
        ]
        averages = running_averages((p.instrument for p in book.positions), board.index, board.ts_ns)
        seen = exposures(book, board.surfaces, ts_ns=board.ts_ns, settlement=averages)
        terms = terms_of(policy, own, seen, underlying, self.config.numeraire)
        if policy.kind.holds_vega:
            surface = board.surfaces[underlying]
            terms = with_vega(terms, policy, seen, self.guidance, surface, self.config.numeraire)
        objective = objective_of(policy, self.guidance, underlying)
        if policy.objective.learns and objective is None:
            account.note(board.ts_ns, "no_factors", f"{underlying}: {self.guidance.why_not(underlying)}")
        state = HedgeState(
            last_hedge_ns=self._last_hedge_ns.get((policy.name, underlying)), trigger=terms.trigger
        )
        return plan_hedge(
            book,
            board.surfaces,
            self._market(board, underlying, policy, _held_options(book, own_keys, underlying)),
            terms.limits,
            state,
            costs=account.costs,
            risk=RiskModel(risk_price=self.config.risk_price),
            ratio=ratio_of(policy),
            objective=objective,
            holding=None if policy.holding_days is None else HoldingPeriod(days=policy.holding_days),
            max_hedge_options=policy.max_hedge_options,
            hedge_keys=_held_options(book, own_keys, underlying),
        )

    def _market(
        self, board: QuoteBoard, underlying: str, policy: PolicySpec, held: frozenset[str]
    ) -> HedgeMarket:
        # Policies that trade the same kinds and hold the same hedges share their candidates.
        if self._markets_ns != board.ts_ns:
            self._markets, self._markets_ns = {}, board.ts_ns
        rules = InstrumentRules(
            venues=self.venues, kinds=allowed_kinds(policy), min_tenor_days=MIN_HEDGE_TENOR_DAYS
        )
        key = (underlying, rules, held)
        if key not in self._markets:
            self._markets[key] = hedge_market(
                board.snapshots[underlying], board.surfaces[underlying], rules=rules, also=held
            )
        return self._markets[key]


def _held_options(book: Book, own_keys: frozenset[str], underlying: str) -> frozenset[str]:
    """Options held as hedges: always candidates, so that they can be taken off again."""
    return frozenset(
        position.instrument.key
        for position in book.positions
        if position.instrument.is_option
        and position.instrument.underlying == underlying
        and position.instrument.key not in own_keys
    )
