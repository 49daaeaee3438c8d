"""Settings and result of a flexible fit."""

from dataclasses import dataclass, field
from enum import StrEnum

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.surface.flexible.basis import Basis, BasisSettings
from ivhedge.surface.flexible.calendar import CutMemory
from ivhedge.surface.flexible.program import State
from ivhedge.surface.flexible.proof import FlexibleProof
from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = ["FitMemory", "FlexibleFit", "FlexibleSettings", "SliceStatus"]


class SliceStatus(StrEnum):
    """How an expiry was fitted."""

    FITTED = "fitted"
    BACKBONE = "backbone: fewer than the least two-sided quotes, the density is the backbone's"
    NOT_MENDED = "backbone: prices of neighbouring expiries fall, and no share of the backbone mends it"
    NOT_SOLVED = "backbone: the program could not be solved, check vols and tenors of all expiries"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleSettings:
    """Everything that steers a flexible fit.

    Parameters
    ----------
    basis : BasisSettings
    min_quotes : int
        Expiries with fewer two-sided quotes keep the backbone's density.
    penalty : float
        Price of leaving a band by one half-spread, against 1/2 per squared half-spread of the pull to mid.
    smoothness : float
        Weight of the squared second differences of the density ratio, times the noise of the mids squared.
    judge_penalty, judge_smoothness : float
        The same for the solves against which the quotes are judged again.
    judge_rounds : int
        Number of these.
    judge_release : float
        Factor by which smoothness falls from one of them to the next.
    tail : float
        Share of a heavy-tailed law in the density that the ratio refers to.
    mix : float
        Least share of the backbone's price.
    max_cut_rounds : int
        Solves after which a calendar that still fails is left to the mix.
    tolerance : float
        Largest violation of a bound or band, in half-spreads and units of the kernels' weights.
    """

    basis: BasisSettings = field(default_factory=BasisSettings)
    min_quotes: int = 2
    penalty: float = 100.0
    smoothness: float = 3.0
    judge_penalty: float = 1.0
    judge_smoothness: float = 100.0
    judge_rounds: int = 3
    judge_release: float = 10.0
    tail: float = 1e-4
    mix: float = 1e-4
    max_cut_rounds: int = 10
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.min_quotes < 2 or min(self.max_cut_rounds, self.judge_rounds) < 1:
            raise ConfigError("expected min_quotes >= 2 and max_cut_rounds, judge_rounds >= 1")
        positive = (self.penalty, self.smoothness, self.judge_penalty, self.judge_smoothness)
        if min(*positive, self.tail, self.tolerance, self.judge_release) <= 0.0:
            raise ConfigError("expected positive penalties, smoothness, tail, tolerance and judge_release")
        if not 0.0 < self.mix < 1.0:
            raise ConfigError(f"expected mix inside (0, 1), found {self.mix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitMemory:
    """Answers of all solves of a fit, and the cuts that bind.

    Parameters
    ----------
    expiries : IntArray, shape (n,)
    offsets : IntArray, shape (n + 1,)
        Rows of the program per expiry.
    states : tuple of State
        In the order of the solves: judging, then the final one.
    cuts : CutMemory
    basis : Basis
    prior : FloatArray, shape (n, m)
        The backbone's weights.
    """

    expiries: IntArray
    offsets: IntArray
    states: tuple[State, ...]
    cuts: CutMemory
    basis: Basis
    prior: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleFit:
    """A flexible surface and how it came about.

    Parameters
    ----------
    surface : FlexibleSurface
    status : tuple of SliceStatus
        One per expiry.
    mix : float
        Share of the backbone's price, raised above the least where the calendar asked for it.
    used : BoolArray, shape (q,)
        Quotes that were believed.
    inside : BoolArray, shape (q,)
        Quotes whose band holds the fitted price.
    fitted_vol : FloatArray, shape (q,)
        Vol of the surface at each quote.
    noise : FloatArray, shape (n,)
        Noise of the mids, in half-spreads.
    iterations : tuple of int
        Newton steps of each solve, added up over expiries.
    active_cuts : IntArray, shape (n - 1,)
        Calendar constraints that bind, per pair of expiries.
    converged : bool
        Whether the last solve reached its tolerance.
    proof : FlexibleProof
        Whether no strike and no time has arbitrage, and where not proven.
    wide : float
        Share of a law of three times the deviation at the money, where the proof asked for it; mostly 0.
    objective : float
        Value of the program that was solved; NaN where none was.
    judged_again : bool
        Whether an earlier fit judged the quotes.
    memory : FitMemory or None
        What a later fit can start from.
    """

    surface: FlexibleSurface
    status: tuple[SliceStatus, ...]
    mix: float
    used: BoolArray
    inside: BoolArray
    fitted_vol: FloatArray
    noise: FloatArray
    iterations: tuple[int, ...]
    active_cuts: IntArray
    converged: bool
    proof: FlexibleProof
    wide: float = 0.0
    objective: float = float("nan")
    judged_again: bool = False
    memory: FitMemory | None = field(default=None, repr=False)
