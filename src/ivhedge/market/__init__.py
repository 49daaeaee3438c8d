"""Quotes: schemas, readers, cleaning, forwards, store and a simulated market."""
