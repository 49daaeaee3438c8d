"""The store: recorded tables in Parquet, queried with SQL."""

from ivhedge.market.store.chain_store import ChainStore
from ivhedge.market.store.partitions import IngestReport

__all__ = ["ChainStore", "IngestReport"]
