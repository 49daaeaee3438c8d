"""What the controls look at: one value that holds the book, the market, the venues and the money.

None stands for "not known" and is refused wherever a control needs the number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ivhedge.core.errors import DataError
from ivhedge.risk.controls.breach import Scope
from ivhedge.risk.controls.machine import TradingState
from ivhedge.risk.controls.orders import Exposure, WorkingOrders

__all__ = [
    "AuditState",
    "ControlState",
    "ExecutedOrder",
    "ExplainState",
    "InstrumentState",
    "KillSwitch",
    "LegGroup",
    "MarginState",
    "PnlState",
    "RateState",
    "Reconciliation",
    "SentIntent",
    "UnderlyingState",
    "VenueRules",
    "VenueState",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRules:
    """What a venue accepts in an instrument beside tick, lot and smallest size.

    Parameters
    ----------
    lowest_price, highest_price : Decimal
        The venue's band now; 0 and infinity where it has none.
    max_contracts : Decimal
        Largest order; infinity where it has none.
    """

    lowest_price: Decimal
    highest_price: Decimal
    max_contracts: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentState:
    """One instrument's market.

    Parameters
    ----------
    ts_ns : int or None
        Time of the quote, by the venue.
    bid, ask : float or None
        One of them may be missing.
    mark : float or None
    own_price : float or None
        By the own surface (options) or forward curve; needed for options.
    price_per_vol_point : float or None
        Change of an option's price for one vol point, in the units of the price.
    depth : float or None
        Contracts that can be traded within a minute.
    in_sequence : bool
        False from a sequence gap until the book is rebuilt.
    rules : VenueRules or None
    """

    ts_ns: int | None
    bid: float | None
    ask: float | None
    mark: float | None
    depth: float | None
    rules: VenueRules | None
    own_price: float | None = None
    price_per_vol_point: float | None = None
    in_sequence: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingState:
    """One coin's prices and measures.

    Parameters
    ----------
    index_price_usd : float or None
    index_ns : int or None
        Time of the index price.
    greeks_ns, surface_ns : int or None
        Times of the Greeks and of the surface behind them.
    unpriced_legs : int
        Legs without a price.
    funding_cost_usd_per_day : float or None
        Positive when paid.
    """

    index_price_usd: float | None
    index_ns: int | None
    greeks_ns: int | None
    surface_ns: int | None
    unpriced_legs: int
    funding_cost_usd_per_day: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginState:
    """One margin account of a venue without its working orders, in its margin currency.

    Parameters
    ----------
    ts_ns : int
    currency : str
    equity, initial : float
    stressed_equity, stressed_maintenance : float
        After the stress that leaves the least room (stressed use times equity less maintenance).
    """

    ts_ns: int
    currency: str
    equity: float
    initial: float
    stressed_equity: float
    stressed_maintenance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """A budget of messages: used of capacity, in the venue's credits."""

    used: float
    capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Last comparison of positions, balances and orders with a venue."""

    ts_ns: int
    matched: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """One venue's account and connection.

    Parameters
    ----------
    margin : tuple of MarginState
        One for each margin currency that the venue keeps apart; empty = not known.
    rates : mapping of bucket to RateState
    clock_skew_ms : float or None
        Venue clock less own clock.
    has_dead_man : bool
        Whether the venue offers cancel-on-disconnect or a dead-man timer.
    dead_man_s : float or None
        Time after which it cancels; None = not armed. 0 for cancel-on-disconnect.
    fill_protection_hit : bool
        The venue's own protection has frozen quotes.
    reconciliation : Reconciliation or None
    equity_share : float or None
        Of the book's equity, that is held here; of the time of `PnlState`.
    adl_rank : float or None
        Quantile in the queue of auto-deleveraging, 0 = last to be closed; of the time of the margin.
    """

    margin: tuple[MarginState, ...]
    rates: Mapping[str, RateState]
    clock_skew_ms: float | None
    has_dead_man: bool
    dead_man_s: float | None
    reconciliation: Reconciliation | None
    equity_share: float | None
    adl_rank: float | None
    fill_protection_hit: bool = False

    def __post_init__(self) -> None:
        currencies = [account.currency for account in self.margin]
        if len(set(currencies)) != len(currencies):
            raise DataError(f"expected one margin account per currency, found {currencies}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentIntent:
    """An order sent lately; quantity signed."""

    ts_ns: int
    key: str
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedOrder:
    """A fill; those of one `client_id` count as one execution.

    Quantity in coin and exposures, all signed, of what was filled.
    """

    ts_ns: int
    client_id: str
    key: str
    underlying: str
    quantity_coin: float
    delta: float
    vega_usd_per_vol_point: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LegGroup:
    """A multi-leg order: when its first leg filled, and the delta left open until the others do."""

    name: str
    underlying: str
    first_fill_ns: int
    open_delta: float
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """The kill switch and the separate process that watches it."""

    watcher_seen_ns: int | None
    engaged_ns: int | None = None
    cancels_confirmed_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PnlState:
    """Money today; losses, hedge error and fees are positive when they hurt.

    Drawdown is from the highest equity, hedge error the P&L of the hedged book against its own forecast.
    `ts_ns` is when the account was valued.
    """

    ts_ns: int
    equity_usd: float
    day_loss_usd: float
    drawdown_usd: float
    hedge_error_usd: float
    fees_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainState:
    """Last P&L attribution: when, what is unexplained, and the sum of absolute terms."""

    ts_ns: int
    residual_usd: float
    gross_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """Whether the hash chain was verified, and when the last daily proof was made."""

    chain_verified: bool
    proof_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState:
    """Everything the controls look at, at one time.

    Parameters
    ----------
    ts_ns : int
        Now, nanoseconds since the epoch, UTC.
    trading : TradingState
    instruments, underlyings, venues
        By key ``venue:name``, by coin, by venue.
    exposures : mapping of Scope to Exposure
        Of the filled positions: by underlying, by underlying and expiry bucket, by underlying and venue.
        An underlying has to be there; a bucket or venue that is not, holds nothing.
    positions : mapping of key to Decimal
        Contracts, signed.
    working : WorkingOrders
        Every order that may still fill; said, not assumed: a forgotten feed must not look like an empty book.
    sent, executed : tuple
        At least as long as the windows of the settings.
    leg_groups : tuple of LegGroup
    btc_price_usd : float or None
        Of the time of BTC's index, where BTC is among the underlyings.
    pnl, explain, stablecoin_shares
        Shares are of the time of `pnl`.
    """

    ts_ns: int
    trading: TradingState
    instruments: Mapping[str, InstrumentState]
    underlyings: Mapping[str, UnderlyingState]
    venues: Mapping[str, VenueState]
    exposures: Mapping[Scope, Exposure]
    positions: Mapping[str, Decimal]
    working: WorkingOrders
    sent: tuple[SentIntent, ...]
    executed: tuple[ExecutedOrder, ...]
    leg_groups: tuple[LegGroup, ...]
    btc_price_usd: float | None = None
    kill_switch: KillSwitch | None = None
    pnl: PnlState | None = None
    explain: ExplainState | None = None
    stablecoin_shares: Mapping[str, float] | None = None
    audit: AuditState | None = None
