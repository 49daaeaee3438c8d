"""Hedge instruments, costs and the pure planning function."""
