"""Arbitrage-free implied-volatility surfaces, fitted and certified."""
