"""Exact money: fees, funding, positions, settlement and the journal."""

from ivhedge.ledger.book import Book
from ivhedge.ledger.equity import Equity
from ivhedge.ledger.exact import exact_decimal
from ivhedge.ledger.expiry_period import ExpiryPeriod, expiry_period
from ivhedge.ledger.fees import FeeRule, FeeSchedule, delivery_fee, trade_fee
from ivhedge.ledger.fill import Fill, Liquidity
from ivhedge.ledger.funding import FundingDue, FundingRule, FundingStyle, funding_payment
from ivhedge.ledger.journal import Entry, EntryKind, Journal
from ivhedge.ledger.ledger import Ledger
from ivhedge.ledger.position import Position
from ivhedge.ledger.profiles import (
    VenueProfile,
    available_venues,
    load_fees,
    load_funding_rule,
    load_profile,
    parse_profile,
)
from ivhedge.ledger.proof import MoneyProof
from ivhedge.ledger.rebuild import rebuild
from ivhedge.ledger.settlement import (
    blended_settlement_price,
    option_payoff,
    settlement_value,
    time_weighted_price,
)

__all__ = [
    "Book",
    "Entry",
    "EntryKind",
    "Equity",
    "ExpiryPeriod",
    "FeeRule",
    "FeeSchedule",
    "Fill",
    "FundingDue",
    "FundingRule",
    "FundingStyle",
    "Journal",
    "Ledger",
    "Liquidity",
    "MoneyProof",
    "Position",
    "VenueProfile",
    "available_venues",
    "blended_settlement_price",
    "delivery_fee",
    "exact_decimal",
    "expiry_period",
    "funding_payment",
    "load_fees",
    "load_funding_rule",
    "load_profile",
    "option_payoff",
    "parse_profile",
    "rebuild",
    "settlement_value",
    "time_weighted_price",
    "trade_fee",
]
