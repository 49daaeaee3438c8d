"""Readers: recorded formats of venues and vendors to the project's tables."""

from ivhedge.market.readers.read import FORMATS, read_chains, read_futures

__all__ = ["FORMATS", "read_chains", "read_futures"]
