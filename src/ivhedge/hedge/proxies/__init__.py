"""Vega hedged with another market's: which vols follow which, how surely, and what that is worth."""

from ivhedge.hedge.proxies.decide import (
    ProxyCosts,
    ProxyDecision,
    ProxyHedge,
    ProxyVerdict,
    proxy_bands,
    proxy_hedge,
)
from ivhedge.hedge.proxies.estimate import ProxyModel, ProxySettings, VegaBucket, fit_moves, fit_proxies

__all__ = [
    "ProxyCosts",
    "ProxyDecision",
    "ProxyHedge",
    "ProxyModel",
    "ProxySettings",
    "ProxyVerdict",
    "VegaBucket",
    "fit_moves",
    "fit_proxies",
    "proxy_bands",
    "proxy_hedge",
]
