"""Every error that `ivhedge` raises.

::

    IvHedgeError
    ├─ ConfigError            a setting, a file path or an option is wrong
    ├─ DataError              input that cannot be used
    │   ├─ SchemaError          a file or table lacks a column or has a wrong type
    │   ├─ EmptyData            nothing is left to work on
    │   ├─ UnknownInstrument    an instrument or underlying that the data does not know
    │   ├─ StaleQuote           a quote older than allowed
    │   ├─ CrossedQuote         bid above ask
    │   └─ GapError             a hole in a sequence
    ├─ CalibrationError       a fit cannot be made
    ├─ ArbitrageError         a surface without a valid certificate was asked to be published
    ├─ LedgerError            an entry that would falsify the books
    │   └─ MissingPrice         a mark, index or settlement price that the books need is absent
    ├─ LimitBreach            a hard limit would be exceeded
    └─ VenueError             an exchange refused or is out of reach
        ├─ Rejected
        ├─ RateLimited
        └─ Disconnected

A message says what was expected, what was found and what to do. `exit_code` is what the command line
returns for the class.
"""

__all__ = [
    "ArbitrageError",
    "CalibrationError",
    "ConfigError",
    "CrossedQuote",
    "DataError",
    "Disconnected",
    "EmptyData",
    "GapError",
    "IvHedgeError",
    "LedgerError",
    "LimitBreach",
    "MissingPrice",
    "RateLimited",
    "Rejected",
    "SchemaError",
    "StaleQuote",
    "UnknownInstrument",
    "VenueError",
]


class IvHedgeError(Exception):
    """Root of every error raised on purpose."""

    exit_code = 1


class ConfigError(IvHedgeError):
    """A setting, a path or an option is wrong."""

    exit_code = 3


class DataError(IvHedgeError):
    """Input data cannot be used."""

    exit_code = 4


class SchemaError(DataError):
    """A file or table lacks a column or holds a wrong type."""


class EmptyData(DataError):
    """Nothing is left to work on: an empty file, window or chain."""


class UnknownInstrument(DataError):
    """An instrument or underlying that the data does not know."""


class StaleQuote(DataError):
    """A quote is older than allowed."""


class CrossedQuote(DataError):
    """A bid lies above its ask."""


class GapError(DataError):
    """A sequence has a hole."""


class CalibrationError(IvHedgeError):
    """A fit cannot be made from the quotes given."""

    exit_code = 5


class ArbitrageError(IvHedgeError):
    """A surface without a valid certificate was asked to be published."""

    exit_code = 5


class LedgerError(IvHedgeError):
    """An entry would falsify the books."""

    exit_code = 6


class MissingPrice(LedgerError):
    """A mark, index or settlement price that the books need is absent."""


class LimitBreach(IvHedgeError):
    """A hard limit would be exceeded."""

    exit_code = 7


class VenueError(IvHedgeError):
    """An exchange refused a request or cannot be reached."""

    exit_code = 8


class Rejected(VenueError):
    """The exchange rejected a request."""


class RateLimited(VenueError):
    """The exchange asked us to slow down."""


class Disconnected(VenueError):
    """The connection to the exchange is gone."""
