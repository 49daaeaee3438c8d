"""A certified surface played from a recorded tape or a live feed: publications at fixed times."""

from ivhedge.engine.streaming.clock import MachineClock, ManualPacer, PacingClock
from ivhedge.engine.streaming.frames import ExpiryState, Pace, StreamFrame, VenueState
from ivhedge.engine.streaming.listing import FeedBatch, Listing
from ivhedge.engine.streaming.player import play
from ivhedge.engine.streaming.replay import replay
from ivhedge.engine.streaming.settings import PlaySettings

__all__ = [
    "ExpiryState",
    "FeedBatch",
    "Listing",
    "MachineClock",
    "ManualPacer",
    "Pace",
    "PacingClock",
    "PlaySettings",
    "StreamFrame",
    "VenueState",
    "play",
    "replay",
]
