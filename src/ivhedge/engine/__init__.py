"""Replay: the same stages over recorded or simulated time."""
