"""A certified surface that follows quotes one by one, in microseconds each."""

from ivhedge.surface.stream.columns import QuoteColumns, StreamSettings, Universe
from ivhedge.surface.stream.snapshot import StreamSnapshot
from ivhedge.surface.stream.stream import REASONS, SurfaceStream
from ivhedge.surface.stream.trust import SurfaceTrust, TrustSettings, TrustState, surface_trust

__all__ = [
    "REASONS",
    "QuoteColumns",
    "StreamSettings",
    "StreamSnapshot",
    "SurfaceStream",
    "SurfaceTrust",
    "TrustSettings",
    "TrustState",
    "Universe",
    "surface_trust",
]
