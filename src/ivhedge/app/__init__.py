"""Configuration and the command line."""
