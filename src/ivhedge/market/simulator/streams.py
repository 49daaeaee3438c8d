"""Independent random streams with names, so that one draw never shifts another."""

import zlib
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["Streams"]

_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_GOLDEN = 0x9E3779B97F4A7C15
_ROOT_WORDS = 4


def _word(part: str | int) -> int:
    return zlib.crc32(part.encode()) if isinstance(part, str) else int(part)


@dataclass(frozen=True, slots=True)
class Streams:
    """A tree of random streams grown from a few words of entropy.

    Parameters
    ----------
    root : tuple of int
        Entropy shared by the whole market; see `Streams.from_generator`.

    Notes
    -----
    The draws of snapshot 7 on one venue depend on `root`, the names and the number 7 only. A longer run
    therefore starts with the shorter run, and changing one venue leaves the others as they were.
    """

    root: tuple[int, ...]

    @classmethod
    def from_generator(cls, rng: np.random.Generator) -> "Streams":
        """Take the root entropy from a generator, which advances by four draws."""
        return cls(tuple(int(word) for word in rng.integers(0, 1 << 63, size=_ROOT_WORDS)))

    def generator(self, *name: str | int) -> np.random.Generator:
        """Open a fresh generator for the stream of this name."""
        key = tuple(_word(part) for part in name)
        return np.random.default_rng(np.random.SeedSequence(entropy=self.root, spawn_key=key))

    def uniforms(self, *name: str | int, keys: tuple[IntArray, ...]) -> FloatArray:
        """One uniform number in (0, 1) per row of integer keys, the same whenever it is asked for.

        Parameters
        ----------
        *name : str or int
            Name of the property that is drawn.
        keys : tuple of IntArray, each shape (n,)
            What identifies an item, for instance (expiry_ns, strike in cents).

        Returns
        -------
        FloatArray, shape (n,)

        Notes
        -----
        Each key is mixed in with the finaliser of SplitMix64.

        References
        ----------
        Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators.
        """
        seed = int(self.generator(*name).integers(0, 1 << 63))
        state = np.full(keys[0].shape, seed, dtype=np.uint64)
        for key in keys:
            state = state + key.astype(np.uint64) + np.uint64(_GOLDEN)
            for shift, factor in _MIX:
                state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
            state = state ^ (state >> np.uint64(31))
        return ((state >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
