"""The linear equations of one snapshot: biases given the quotes, with each expiry's curve marginalised."""

from typing import NamedTuple

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.fusion import state as bias_state
from ivhedge.surface.fusion._curve import Eliminated, curve_basis, eliminate
from ivhedge.surface.fusion.quotes import Z_LIMIT, VenueQuotes
from ivhedge.surface.fusion.state import PARTS, BiasState

__all__ = ["Problem"]

_Open = tuple[np.ndarray, ...]


class _Blocks(NamedTuple):
    """Where the biases of one expiry stand in the vector, and the four blocks their sum touches."""

    common: IntArray
    own: IntArray
    pairs: tuple[_Open, ...]


def _blocks(common: IntArray, own: IntArray) -> _Blocks:
    both = (common, own)
    return _Blocks(common, own, tuple(np.ix_(a, b) for a in both for b in both))


class Problem:
    """The linear equations of one snapshot; only weights change between rounds."""

    def __init__(self, quotes: VenueQuotes, rows: IntArray, z: FloatArray) -> None:
        n_v = len(quotes.venues)
        self.rows = rows
        self.n_venues, self.n_expiries = n_v, quotes.expiry_ns.size
        self.slots = bias_state.positions(n_v, self.n_expiries)
        self.value = quotes.vol[rows]
        self.parts: list[tuple[IntArray, FloatArray, FloatArray]] = []
        common = self.slots[:, 0].ravel()
        self.blocks = [_blocks(common, self.slots[:, e + 1].ravel()) for e in range(self.n_expiries)]
        self.seen = np.zeros((n_v, self.n_expiries), dtype=np.bool_)
        clipped = np.clip(z, -Z_LIMIT, Z_LIMIT)
        columns = np.stack((np.ones(rows.size), clipped, quotes.forward_slope[rows]))
        for e in range(self.n_expiries):
            mine = np.flatnonzero(quotes.expiry[rows] == e)
            design = np.zeros((mine.size, n_v, PARTS))
            venue = quotes.venue[rows][mine]
            design[np.arange(mine.size), venue] = columns[:, mine].T
            self.seen[venue, e] = True
            self.parts.append((mine, curve_basis(z[mine]), design.reshape(mine.size, -1)))

    def solve(self, weight: FloatArray, prior: BiasState) -> tuple[FloatArray, FloatArray, list[Eliminated]]:
        """Posterior mean and covariance of the biases, and the eliminated expiries."""
        size = prior.mean.size
        information, score = np.zeros((size, size)), np.zeros(size)
        solved = []
        for (mine, basis, design), blocks in zip(self.parts, self.blocks, strict=True):
            part = eliminate(basis, design, self.value[mine], weight[mine])
            score[blocks.common] += part.score
            score[blocks.own] += part.score
            for at in blocks.pairs:
                information[at] += part.information
            solved.append(part)
        # Covariance form, over what is not held at exactly its prior mean.
        free = np.flatnonzero(np.diag(prior.covariance) > 0.0)
        at = np.ix_(free, free)
        known = prior.covariance[at]
        posterior = np.linalg.solve(np.eye(free.size) + known @ information[at], known)
        covariance = np.zeros((size, size))
        covariance[at] = 0.5 * (posterior + posterior.T)
        mean = prior.mean + covariance @ (score - information @ prior.mean)
        return mean, covariance, solved

    def errors(self, mean: FloatArray, solved: list[Eliminated]) -> FloatArray:
        """Errors of the quotes, shape (q,)."""
        error = np.zeros(self.value.size)
        for (mine, basis, design), blocks, part in zip(self.parts, self.blocks, solved, strict=True):
            bias = mean[blocks.common] + mean[blocks.own]
            curve = part.curve_mean - part.response @ bias
            error[mine] = self.value[mine] - basis @ curve - design @ bias
        return error

    def fitted_variance(self, covariance: FloatArray, solved: list[Eliminated]) -> FloatArray:
        """Variance of the fitted value of each quote, shape (q,)."""
        fitted = np.zeros(self.value.size)
        for (mine, basis, design), blocks, part in zip(self.parts, self.blocks, solved, strict=True):
            joint = sum(covariance[at] for at in blocks.pairs)
            reach = design - basis @ part.response
            fitted[mine] = ((basis @ part.curve_covariance) * basis).sum(axis=1)
            fitted[mine] += ((reach @ joint) * reach).sum(axis=1)
        return fitted

    def atm_error(self, covariance: FloatArray, solved: list[Eliminated]) -> FloatArray:
        """Standard error of each curve at z = 0."""
        at = curve_basis(np.zeros(1))[0]
        common = self.slots[:, 0].ravel()
        variance = np.empty(self.n_expiries)
        for e, part in enumerate(solved):
            own = self.slots[:, e + 1].ravel()
            load = np.zeros(covariance.shape[0])
            load[common] = at @ part.response
            load[own] = load[common]
            variance[e] = at @ part.curve_covariance @ at + load @ covariance @ load
        return np.sqrt(variance)
