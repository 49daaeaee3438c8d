"""Implied-volatility hedging for crypto options.

Import the room you need, for instance ``from ivhedge.pricing import implied_vol``; this module itself
imports nothing heavy.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
