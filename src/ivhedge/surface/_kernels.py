"""Compiled kernels of the eSSVI fit and its certificate; `_twin` holds the same functions in plain numpy.

numba compiles them at their first call; importing this module does not load it.
"""

from ivhedge.surface._map import coordinates_of, map_jacobian, map_slices
from ivhedge.surface._minimise import robust_fit
from ivhedge.surface._residuals import atm_vols, dense_checks, normal_equations
from ivhedge.surface._slice_fit import fit_slices

__all__ = [
    "atm_vols",
    "coordinates_of",
    "dense_checks",
    "fit_slices",
    "map_jacobian",
    "map_slices",
    "normal_equations",
    "robust_fit",
]
