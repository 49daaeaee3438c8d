"""Principal components of vol changes, their signs, and whether they are the same in both halves.

Components are those of the changes per root day times `vega_weights`, about zero: the mean of six-hour
changes is noise. A score of 0.01 is a shift whose root mean square under these weights is one vol point.
Sign: the component has a positive inner product with the named shape it resembles most, so that the first
one goes up when vols do.

References
----------
Cont, da Fonseca (2002), Dynamics of implied volatility surfaces, Quantitative Finance 2.
Björck, Golub (1973), Numerical methods for computing angles between linear subspaces.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray
from ivhedge.risk.factors.shapes import VolShape, named_shapes, project, vega_weights

__all__ = ["VolComponents", "explained_share", "principal_components", "subspace_angles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolComponents:
    """Principal components of one underlying.

    Parameters
    ----------
    shapes : tuple of K VolShape
        Orthogonal under the weights; names ``pc1`` ...
    share : FloatArray, shape (K,)
        Share of the weighted squared changes that each explains, descending.
    resembles : tuple of str
        Named shape with the largest inner product.
    angles : FloatArray, shape (K,)
        Largest angle in degrees between the spaces of the first 1 ... K components of the two halves of the
        history; 0 is the same space, 90 has a direction that the other half lacks.
    """

    shapes: tuple[VolShape, ...]
    share: FloatArray
    resembles: tuple[str, ...]
    angles: FloatArray


def principal_components(
    changes: FloatArray, tenor_days: FloatArray, nodes: FloatArray, *, count: int = 4
) -> VolComponents:
    """Components of vol changes.

    Parameters
    ----------
    changes : FloatArray, shape (S, M, N)
        Per root day.
    tenor_days, nodes : FloatArray, shapes (M,) and (N,)
    count : int

    Raises
    ------
    ConfigError
        If `count` is not within 1 and the number of grid points.
    DataError
        If a change is not finite, or there are fewer than 2·`count` steps a half.
    """
    weights = vega_weights(tenor_days, nodes)
    if not 1 <= count <= weights.size:
        raise ConfigError(f"expected 1 to {weights.size} components, found {count}")
    steps = changes.shape[0]
    if not np.isfinite(changes).all() or steps < 4 * count:
        raise DataError(
            f"expected at least {4 * count} steps of finite changes for {count} components, found {steps}; "
            "leave out steps with a missing tenor, or ask for fewer"
        )
    weighted = (changes * weights).reshape(steps, -1)
    basis, share = _leading(weighted, count)
    half = steps // 2
    first, second = (_leading(part, count)[0] for part in (weighted[:half], weighted[half:]))
    angles = [subspace_angles(first[:k], second[:k])[0] for k in range(1, count + 1)]
    unit = np.sqrt(float((weights**2).sum()))
    shapes, resembles = [], []
    named = named_shapes(tenor_days, nodes)
    for i, row in enumerate(basis):
        name, sign = _resemblance(row, named, weights)
        grid = sign * unit * row.reshape(weights.shape) / weights
        shapes.append(VolShape(name=f"pc{i + 1}", tenor_days=tenor_days, nodes=nodes, grid=grid))
        resembles.append(name)
    return VolComponents(
        shapes=tuple(shapes), share=share, resembles=tuple(resembles), angles=np.array(angles)
    )


def explained_share(shapes: tuple[VolShape, ...], changes: FloatArray, weights: FloatArray) -> float:
    """Share of weighted squared changes that the shapes explain, combined for each step by least squares.

    Raises
    ------
    ConfigError
        If the shapes are not independent on this grid.
    DataError
        If nothing changes.
    """
    scores = project(shapes, changes, weights)
    fitted = np.einsum("sk,kmn->smn", scores, np.stack([shape.grid for shape in shapes]))
    total = float(((changes * weights) ** 2).sum())
    if total == 0.0:
        raise DataError("expected vols that change, found none that do")
    return 1.0 - float((((changes - fitted) * weights) ** 2).sum()) / total


def subspace_angles(first: FloatArray, second: FloatArray) -> FloatArray:
    """Principal angles between the spaces of orthonormal rows, degrees, descending (Björck, Golub 1973)."""
    from scipy.linalg import subspace_angles as angles

    return np.degrees(np.asarray(angles(first.T, second.T), dtype=np.float64))


def _leading(weighted: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    _, singular, rows = np.linalg.svd(weighted, full_matrices=False)
    total = float((singular**2).sum())
    if total == 0.0:
        raise DataError("expected vols that change, found none that do")
    return rows[:count], np.asarray(singular[:count] ** 2 / total)


def _resemblance(row: FloatArray, named: tuple[VolShape, ...], weights: FloatArray) -> tuple[str, float]:
    columns = [(shape.grid * weights).ravel() for shape in named]
    inner = np.array([float(row @ column) / float(np.linalg.norm(column)) for column in columns])
    best = int(np.argmax(np.abs(inner)))
    return named[best].name, 1.0 if inner[best] >= 0.0 else -1.0
