"""Replay: the same surface, risk, plan and ledger code over recorded or simulated snapshots.

At every snapshot each policy's account is settled, funded, marked and attributed; then the book trades,
then the policy's plan is executed at the snapshot's own quotes. Nothing looks ahead: a surface is fitted to
the snapshot alone, and only a settlement price may come from the first snapshot after the expiry.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from ivhedge.core.errors import CalibrationError, ConfigError, EmptyData, IvHedgeError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.engine.account import Account, SettlementLookup
from ivhedge.engine.averages import running_averages
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.bookkeeper import Bookkeeper, opening_collateral
from ivhedge.engine.caveats import assumptions_of, warnings_of
from ivhedge.engine.diagnostics import FitRecorder
from ivhedge.engine.fitting import SharedFits
from ivhedge.engine.funding import FundingRates
from ivhedge.engine.guidance import Guidance
from ivhedge.engine.hedger import Hedger
from ivhedge.engine.intake import Intake
from ivhedge.engine.outcome import build_result
from ivhedge.engine.result import BacktestResult
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.engine.spec import BookSpec, PolicySpec, ReplayConfig
from ivhedge.hedge import CostModel
from ivhedge.ledger import load_fees
from ivhedge.market import MarketSnapshot
from ivhedge.risk import exposures
from ivhedge.surface import SurfaceFit

__all__ = ["ReplayJob", "replay", "replay_jobs"]

Progress = Callable[[int], None]
_MAX_PASSED_OVER = 0.1


def replay(
    snapshots: Iterable[MarketSnapshot],
    book: BookSpec,
    policies: Sequence[PolicySpec],
    config: ReplayConfig,
    *,
    settlements: SettlementPrices | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> BacktestResult:
    """Hedge one book under several policies over the same snapshots.

    Parameters
    ----------
    snapshots : iterable of MarketSnapshot
        In time order, for instance from `ivhedge.market.snapshots`.
    book : BookSpec
    policies : sequence of PolicySpec
    config : ReplayConfig
    settlements : SettlementPrices, optional
        Known settlement prices; the index between snapshots stands in for the others.
    seed : int, optional
        Of the simulated market, to be shown in the result.
    progress : callable, optional
        Called with the number of snapshots done.

    Returns
    -------
    BacktestResult

    Raises
    ------
    EmptyData
        If there is no snapshot, or nothing of the book could be opened.
    ConfigError
        If there is no policy, or a venue is unknown.
    CalibrationError
        If more than a tenth of the snapshots gives no certified surface.
    DataError
        If more than a tenth of the snapshots does not fit the underlyings of the first time.
    LedgerError
        If the money does not add up.
    """
    job = ReplayJob(book, tuple(policies), config, settlements or SettlementPrices(), seed)
    (result,) = replay_jobs(snapshots, [job], progress=progress)
    if isinstance(result, IvHedgeError):
        raise result
    return result


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One book under several policies; the arguments of `replay` but for the snapshots."""

    book: BookSpec
    policies: tuple[PolicySpec, ...]
    config: ReplayConfig
    settlements: SettlementPrices = field(default_factory=SettlementPrices)
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.policies:
            raise ConfigError("expected at least one policy, found none; the policy 'none' is one")


def replay_jobs(
    snapshots: Iterable[MarketSnapshot],
    jobs: Sequence[ReplayJob],
    *,
    diagnostics: bool = True,
    progress: Progress | None = None,
) -> list[BacktestResult | IvHedgeError]:
    """Hedge several books in one pass over the same snapshots, fitting each snapshot once.

    Parameters
    ----------
    snapshots : iterable of MarketSnapshot
        In time order.
    jobs : sequence of ReplayJob
    diagnostics : bool
        Whether to collect the tables of the fits (surfaces, tenors, term, drops, smiles); without them the
        tables are empty and nothing else changes.
    progress : callable, optional
        Called with the number of snapshots done.

    Returns
    -------
    list of BacktestResult or IvHedgeError
        One per job, in order: the very result of `replay` on its own, or the error it would have raised. An
        error of one job ends that job alone.
    """
    fits = SharedFits()
    runs: list[_Run | IvHedgeError] = [_started(job, fits, diagnostics) for job in jobs]
    done = 0
    for _, group in groupby(snapshots, key=lambda snapshot: snapshot.ts_ns):
        members = tuple(group)
        runs = [run if isinstance(run, IvHedgeError) else _stepped(run, members) for run in runs]
        done += len(members)
        if progress is not None:
            progress(done)
    return [
        run if isinstance(run, IvHedgeError) else _finished(run, job.seed)
        for run, job in zip(runs, jobs, strict=True)
    ]


def _started(job: ReplayJob, fits: SharedFits, diagnostics: bool) -> "_Run | IvHedgeError":
    try:
        return _Run(job.book, job.policies, job.config, job.settlements, fits, diagnostics)
    except IvHedgeError as exc:
        return exc


def _stepped(run: "_Run", members: Sequence[MarketSnapshot]) -> "_Run | IvHedgeError":
    try:
        run.step(members)
    except IvHedgeError as exc:
        return exc
    return run


def _finished(run: "_Run", seed: int | None) -> BacktestResult | IvHedgeError:
    try:
        return run.finish(seed)
    except IvHedgeError as exc:
        return exc


@dataclass(slots=True)
class _Run:
    book: BookSpec
    policies: tuple[PolicySpec, ...]
    config: ReplayConfig
    settlements: SettlementPrices
    fits: SharedFits
    diagnostics: bool
    accounts: dict[str, Account] = field(default_factory=dict)
    intake: Intake = field(init=False)
    keeper: Bookkeeper = field(init=False)
    costs: CostModel = field(init=False)
    hedger: Hedger = field(init=False)
    recorder: FitRecorder = field(default_factory=FitRecorder)
    rates: dict[str, FundingRates] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sources: set[str] = field(default_factory=set)
    failed_fits: list[str] = field(default_factory=list)
    n_snapshots: int = 0
    first_ns: int | None = None
    previous: QuoteBoard | None = None

    def __post_init__(self) -> None:
        self.intake = Intake(self.book.venue)
        self.keeper = Bookkeeper(self.book)
        venues = {self.book.venue, *self.config.hedge_venues}
        self.costs = CostModel(
            fees={venue: load_fees(venue) for venue in sorted(venues)},
            half_spread_bps={
                InstrumentKind.PERPETUAL: self.config.perpetual_half_spread_bps,
                InstrumentKind.FUTURE: self.config.future_half_spread_bps,
            },
        )
        hedge_venues = self.config.hedge_venues or (self.book.venue,)
        self.hedger = Hedger(
            self.config, hedge_venues, self._timed, Guidance(view_bars=dict(self.config.view_bars))
        )
        self.accounts = {policy.name: Account(policy.name, self.costs) for policy in self.policies}

    # -- one snapshot ------------------------------------------------------------------------------------

    def step(self, members: Sequence[MarketSnapshot]) -> None:
        """Take the accounts through one time."""
        self.n_snapshots += len(members)
        completed = self.intake.take(members)
        with self._timed("surface"):
            fits = {s.underlying: fit for s in completed if (fit := self._fit(s)) is not None}
        if len(fits) < len(self.intake.underlyings):
            return  # without every surface of the book nothing is marked or traded at this time
        with self._timed("board"):
            usable = [self.intake.mend(snapshot) for snapshot in completed]
            board = QuoteBoard.of(usable, {name: fit.published() for name, fit in fits.items()})
            funding = self._funding(board)
            lookup = self._settlement_prices(board)
        self._deposit(board)
        with self._timed("ledger and attribution"):
            for account in self.accounts.values():
                account.advance(board, lookup, funding)
        with self._timed("book"):
            self._trade_book(board)
        self.hedger.guidance.observe(board)
        for policy in self.policies:
            self.hedger.hedge(policy, self.accounts[policy.name], self.keeper.own(board.ts_ns), board)
        with self._timed("risk"):
            for account in self.accounts.values():
                self._record(account, board)
        self.previous = board
        self.intake.forget()

    def _fit(self, snapshot: MarketSnapshot) -> SurfaceFit | None:
        fit = self.fits.of(snapshot, self.book.venue)
        if isinstance(fit, str):
            self.failed_fits.append(fit)
            return None
        if self.diagnostics:
            self.recorder.add(snapshot, fit)
        return fit

    def _deposit(self, board: QuoteBoard) -> None:
        if self.first_ns is not None:
            return
        self.first_ns = board.ts_ns
        for underlying in board.snapshots:
            money = opening_collateral(self.book, underlying, board.index(underlying))
            if money.units > 0:
                for account in self.accounts.values():
                    account.deposit(board.ts_ns, money)
        for account in self.accounts.values():
            account.open(board)

    def _funding(self, board: QuoteBoard) -> dict[str, float]:
        found = {}
        for underlying, snapshot in board.snapshots.items():
            table = snapshot.futures.filter(snapshot.futures["kind"] == InstrumentKind.PERPETUAL.value)
            for venue, name in table.select("venue", "instrument_name").iter_rows():
                key = f"{venue}:{name}"
                row = board.rows[key]
                index = board.index(underlying)
                rates = self.rates.setdefault(key, FundingRates(self.config.funding_rate_8h))
                mark = row.mark if row.mark is not None else index
                found[key] = rates.rate_8h(row.funding_8h, mark, index)
        silent = {key: rates.last_8h for key, rates in self.rates.items()}
        return silent | found

    def _settlement_prices(self, board: QuoteBoard) -> SettlementLookup:
        expired: dict[tuple[str, int], tuple[float, str]] = {}
        if self.previous is None:
            return SettlementLookup(expired)
        for account in self.accounts.values():
            for position in account.ledger.expired(board.ts_ns):
                coin, expiry_ns = position.instrument.underlying, position.instrument.expiry_ns or 0
                before, after = self.intake.looks_around(coin, expiry_ns)
                expired[(coin, expiry_ns)] = self.settlements.price(coin, expiry_ns, before, after)
        self.sources |= {source for _, source in expired.values()}
        return SettlementLookup(expired)

    def _trade_book(self, board: QuoteBoard) -> None:
        for order in self.keeper.orders(board, self.costs):
            for account in self.accounts.values():
                account.trade(order.instrument, order.contracts, board, order.purpose, order.reason)

    def _record(self, account: Account, board: QuoteBoard) -> None:
        equity = account.close_step(board)
        book = account.book()
        averages = running_averages((p.instrument for p in book.positions), board.index, board.ts_ns)
        seen = exposures(book, board.surfaces, ts_ns=board.ts_ns, strict=False, settlement=averages)
        account.record(board, equity, seen)

    def _foreign_currencies(self) -> frozenset[str]:
        if self.config.numeraire == "usd":
            return frozenset()
        rows = (row for account in self.accounts.values() for row in account.trades)
        return frozenset(str(row["currency"]) for row in rows) - self.intake.underlyings

    # -- the end -----------------------------------------------------------------------------------------

    def finish(self, seed: int | None) -> BacktestResult:
        """Prove the money and assemble the result."""
        if self.n_snapshots == 0:
            raise EmptyData("expected snapshots to replay, found none; widen the window")
        self.intake.require_complete(_MAX_PASSED_OVER * self.n_snapshots)
        if len(self.failed_fits) > _MAX_PASSED_OVER * self.n_snapshots or self.previous is None:
            raise CalibrationError(
                f"{len(self.failed_fits)} of {self.n_snapshots} snapshots gave no certified surface, "
                f"the first: {self.failed_fits[0] if self.failed_fits else 'none'}; check the quotes"
            )
        self.keeper.require_opened()
        return build_result(
            config=self.config,
            book=self.book,
            policies=self.policies,
            accounts=self.accounts,
            board=self.previous,
            recorder=self.recorder,
            first_ns=self.first_ns or self.previous.ts_ns,
            n_snapshots=self.n_snapshots,
            seconds=dict(self.seconds),
            assumptions=assumptions_of(self.config, self.sources),
            warnings=warnings_of(
                self.book,
                left_over=self.keeper.left_over(),
                n_snapshots=self.n_snapshots,
                made_up_perpetuals=self.intake.made_up_perpetuals,
                failed_fits=self.failed_fits,
                incomplete=self.intake.incomplete,
                bad_quotes=self.intake.bad_quotes,
                absent_venues=set(self.hedger.venues) - self.intake.quoted_venues,
                foreign=self._foreign_currencies(),
                surface_marks=max(account.surface_marks for account in self.accounts.values()),
            ),
            seed=seed,
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start
