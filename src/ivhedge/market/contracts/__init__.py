"""Contract specifications of venues, dated, one TOML file per venue."""

from ivhedge.market.contracts.specs import ContractSpec, VenueContracts, known_venues, load_contracts

__all__ = ["ContractSpec", "VenueContracts", "known_venues", "load_contracts"]
