"""Exact money: fees, funding, positions, settlement and the journal."""
