"""Orders as the controls see them, and how far the working ones can move a book."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from ivhedge.core.errors import DataError
from ivhedge.core.instruments import Instrument
from ivhedge.core.units import NS_PER_DAY
from ivhedge.risk.controls.breach import Scope

__all__ = [
    "Exposure",
    "MarginChange",
    "OrderIntent",
    "Reach",
    "WorkingOrder",
    "WorkingOrders",
    "expiry_label",
    "margin_reach",
    "widen",
]

Reach = list[float]
"""Eight floats: the largest falls, then the largest rises, of the four Greeks."""

_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Greeks of a scope, or of one contract held long; deltas in the numeraire of the limits."""

    delta: float
    gamma_1pct: float = 0.0
    vega_usd_per_vol_point: float = 0.0
    theta_usd_per_day: float = 0.0

    @property
    def values(self) -> tuple[float, float, float, float]:
        """The Greeks in the order of `GREEKS`."""
        return (self.delta, self.gamma_1pct, self.vega_usd_per_vol_point, self.theta_usd_per_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginChange:
    """The most that an order can hurt the account of its venue, whatever else fills.

    Parameters
    ----------
    currency : str
        Margin currency of the account that holds the order; the numbers are in it.
    initial : float
        For an order that only closes a position: the change by `ivhedge.risk.margin.what_if`. For any
        other: the margin of the order alone, which bounds its share in every book where margin is
        subadditive. A what-if on today's positions is no bound: two orders that each flip a position
        look free, and are not.
    equity : float
        Change of equity, costs included, usually negative.
    stressed_maintenance, stressed_equity : float
        The same after a stress, the worst over the grid: the largest of maintenance, the smallest of
        equity.
    """

    currency: str
    initial: float
    equity: float
    stressed_maintenance: float
    stressed_equity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """One limit order before it is sent; an amendment is judged as a new one.

    Parameters
    ----------
    client_id : str
    instrument : Instrument
    quantity : Decimal
        Contracts, positive = buy.
    price : Decimal or None
        Limit price. None is refused: the controls bound what an order can pay.
    unit : Exposure
        Of one contract held long. A venue's combination is one order with the combination's exposure.
    margin : MarginChange or None
        None is refused.
    cost_usd : float or None
        Spread, impact and fees expected by the cost model. None is refused.
    bucket : str or None
        Label of the expiry bucket; None = the date of expiry, ``"perpetual"`` without one.
    rate_bucket : str
        Budget of the venue that the message draws on.
    rate_cost : float
        What it draws.
    """

    client_id: str
    instrument: Instrument
    quantity: Decimal
    price: Decimal | None
    unit: Exposure
    margin: MarginChange | None = None
    cost_usd: float | None = None
    bucket: str | None = None
    rate_bucket: str = "orders"
    rate_cost: float = 1.0
    key: str = field(init=False, compare=False, repr=False)
    scopes: tuple[Scope, Scope, Scope] = field(init=False, compare=False, repr=False)
    scope: Scope = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        i = self.instrument
        if not isinstance(self.quantity, Decimal) or not isinstance(self.price, Decimal | None):
            raise DataError(
                f"order {self.client_id}: expected quantity and price as Decimal, "
                f"found {self.quantity!r} and {self.price!r}"
            )
        expiry = expiry_label(i.expiry_ns) if self.bucket is None else self.bucket
        object.__setattr__(self, "key", i.key)
        object.__setattr__(
            self,
            "scopes",
            (Scope(i.underlying), Scope(i.underlying, expiry=expiry), Scope(i.underlying, venue=i.venue)),
        )
        object.__setattr__(self, "scope", Scope(i.underlying, expiry, i.venue, i.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingOrder:
    """An order that may still fill: sent, resting, of unknown status, or asked to be cancelled.

    Parameters
    ----------
    intent : OrderIntent
    remaining : Decimal
        Contracts not filled, with the sign of the intent's quantity.
    unanswered_since_ns : int or None
        Since when a request about it waits for the venue's answer; None = the venue's status is known.
    """

    intent: OrderIntent
    remaining: Decimal
    unanswered_since_ns: int | None = None

    def __post_init__(self) -> None:
        left, sent = self.remaining, self.intent.quantity
        if not (left.is_finite() and sent.is_finite() and sent != 0 and 0 <= left / sent <= 1):
            raise DataError(
                f"order {self.intent.client_id}: expected remaining between 0 and {sent}, found {left}; "
                "query the order at the venue"
            )


@dataclass(frozen=True, slots=True)
class WorkingOrders:
    """All orders that may still fill, with their sums built once and read by every check.

    Parameters
    ----------
    orders : tuple of WorkingOrder

    Attributes
    ----------
    reach : mapping of Scope to Reach
        How far any subset of them, filled in any part, can move each exposure.
    by_key : mapping of str to list of WorkingOrder
    nearest : mapping of key and whether it buys to OrderIntent
        The order of each side that another would match first.
    margin : mapping of (venue, margin currency) to four floats
        See `margin_reach`.
    margin_unknown : frozenset of str
        Venues with a working order whose margin nobody has stated.
    """

    orders: tuple[WorkingOrder, ...] = ()
    reach: Mapping[Scope, Reach] = field(init=False, compare=False, repr=False)
    by_key: Mapping[str, list[WorkingOrder]] = field(init=False, compare=False, repr=False)
    nearest: Mapping[tuple[str, bool], OrderIntent] = field(init=False, compare=False, repr=False)
    margin: Mapping[tuple[str, str], tuple[float, float, float, float]] = field(
        init=False, compare=False, repr=False
    )
    margin_unknown: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        reach: dict[Scope, Reach] = {}
        by_key: dict[str, list[WorkingOrder]] = {}
        nearest: dict[tuple[str, bool], OrderIntent] = {}
        by_account: dict[tuple[str, str], list[tuple[MarginChange, float]]] = {}
        unknown: set[str] = set()
        for order in self.orders:
            intent = order.intent
            widen(reach, intent, float(order.remaining))
            by_key.setdefault(intent.key, []).append(order)
            if order.remaining != 0:
                side = (intent.key, intent.quantity > 0)
                nearest[side] = _nearer(nearest.get(side), intent)
            part = float(order.remaining / intent.quantity)
            if intent.margin is None:
                unknown.add(intent.instrument.venue)
            else:
                account = (intent.instrument.venue, intent.margin.currency)
                by_account.setdefault(account, []).append((intent.margin, part))
        object.__setattr__(self, "reach", reach)
        object.__setattr__(self, "by_key", by_key)
        object.__setattr__(self, "nearest", nearest)
        object.__setattr__(self, "margin", {a: margin_reach(c) for a, c in by_account.items()})
        object.__setattr__(self, "margin_unknown", frozenset(unknown))


def _nearer(first: OrderIntent | None, second: OrderIntent) -> OrderIntent:
    # A price that is no number matches anything.
    if first is None or second.price is None or not second.price.is_finite():
        return second
    if first.price is None or not first.price.is_finite():
        return first
    return second if (second.price > first.price) == (second.quantity > 0) else first


def widen(reach: dict[Scope, Reach], intent: OrderIntent, contracts: float) -> None:
    """Add to `reach`, in place, what up to `contracts` of an order can do; NaN stays NaN."""
    changes = [unit * contracts for unit in intent.unit.values]
    for scope in intent.scopes:
        ends = reach.get(scope)
        if ends is None:
            ends = reach[scope] = [0.0] * 8
        for i, change in enumerate(changes):
            if change > 0.0:
                ends[4 + i] += change
            elif change != 0.0:
                ends[i] += change
                if change != change:
                    ends[4 + i] = change


def margin_reach(
    changes: Iterable[tuple[MarginChange, float]],
) -> tuple[float, float, float, float]:
    """Worst joint change of initial, equity, stressed maintenance, stressed equity of one account.

    Each change comes with the part of its order that can still fill. Only what hurts is counted: reliefs
    come when they are filled.
    """
    initial = equity = maintenance = stressed = 0.0
    for change, part in changes:
        initial += _above(change.initial * part)
        equity -= _above(-change.equity * part)
        maintenance += _above(change.stressed_maintenance * part)
        stressed -= _above(-change.stressed_equity * part)
    return initial, equity, maintenance, stressed


def _above(value: float) -> float:
    return 0.0 if value <= 0.0 else value  # NaN stays


def expiry_label(expiry_ns: int | None) -> str:
    """Label of an expiry's own bucket: its date, or ``"perpetual"``."""
    if expiry_ns is None:
        return "perpetual"
    return date.fromordinal(_EPOCH + expiry_ns // NS_PER_DAY).isoformat()
