"""Questions that the ledger asks before it changes or shows anything."""

from collections.abc import Iterable

from ivhedge.core.errors import LedgerError, MissingPrice
from ivhedge.core.units import format_ns
from ivhedge.ledger.funding import FundingDue, FundingRule, FundingStyle
from ivhedge.ledger.holding import Holding

__all__ = ["describe_due", "refuse_overdue", "refuse_unsettled"]


def describe_due(holding: Holding, rule: FundingRule, ts_ns: int) -> FundingDue | None:
    if not holding.awaits_funding or not rule.is_behind(holding.funded_to_ns, ts_ns):
        return None
    next_time = (holding.funded_to_ns // rule.interval_ns + 1) * rule.interval_ns
    return FundingDue(
        instrument=holding.instrument,
        quantity=holding.quantity,
        funded_to_ns=holding.funded_to_ns,
        due_ns=next_time if rule.style is FundingStyle.DISCRETE else ts_ns,
        overdue=rule.is_overdue(holding.funded_to_ns, ts_ns),
    )


def refuse_overdue(due: Iterable[FundingDue], ts_ns: int) -> None:
    late = [item for item in due if item.overdue]
    if late:
        names = [f"{item.instrument.key} (accrued to {format_ns(item.funded_to_ns)})" for item in late]
        raise LedgerError(
            f"expected the funding of every perpetual accrued to {format_ns(ts_ns)}, found {names} behind; "
            "call Ledger.funding, with rate 0 if that is the rate"
        )


def refuse_unsettled(holdings: Iterable[Holding], ts_ns: int) -> None:
    waiting = [
        holding.instrument.key
        for holding in holdings
        if holding.lots and holding.instrument.expiry_ns is not None and holding.instrument.expiry_ns <= ts_ns
    ]
    if waiting:
        raise MissingPrice(
            f"expected every expired position settled at {format_ns(ts_ns)}, found {waiting} open; "
            "call Ledger.settle with the venue's settlement price"
        )
