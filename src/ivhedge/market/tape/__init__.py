"""Recorded quote messages of one underlying in the order of their receipt, in one Parquet file."""

from ivhedge.market.tape.chains import tape_from_chains
from ivhedge.market.tape.files import read_tape, tape_info, write_tape
from ivhedge.market.tape.sequence import SequenceCounts, SequenceWatch
from ivhedge.market.tape.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, Tape
from ivhedge.market.tape.writer import TapeWriter

__all__ = [
    "INSTRUMENT_SCHEMA",
    "MESSAGE_SCHEMA",
    "SequenceCounts",
    "SequenceWatch",
    "Tape",
    "TapeWriter",
    "read_tape",
    "tape_from_chains",
    "tape_info",
    "write_tape",
]
