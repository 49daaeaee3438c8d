"""Exposures, scenarios and attribution on the fitted surface."""
