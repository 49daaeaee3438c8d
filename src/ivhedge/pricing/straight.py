"""Straight-line functions of numbers: plain Python when called, machine operations inside a compiled loop.

A function decorated with `straight` may use ``+ - * /``, comparisons, ``& |``, `flip` for "not", `select`
for choices, the primitives below and other straight functions; nothing else. In plain Python it computes on
floats, or on arrays. Inside a compiled kernel it is run once with tracing numbers that write each operation
into the kernel's own code: numba has nothing to analyse, which makes the first call several times faster than
with functions of its own, and a loop over options stays free of calls and branches and can be vectorised.

Products and sums may be fused (LLVM's ``contract``), as in kernels with that option; `exact` switches it off.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import cache, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.pricing.jit import Intrinsic

__all__ = [
    "absolute",
    "bits_of",
    "exact",
    "flip",
    "float_of",
    "fused_multiply_add",
    "select",
    "shift_left",
    "shift_right",
    "square_root",
    "straight",
]

P = ParamSpec("P")
R = TypeVar("R")
N = TypeVar("N", float, FloatArray)


class _Flags(list[str]):
    """Flags of one instruction, even if there are none: numba hands its own to those whose list is empty."""

    def __bool__(self) -> bool:
        return True


class _Traced:
    """A number that writes what is done with it into LLVM code; `kind` is ``float``, ``bits`` or ``flag``."""

    # numpy's numbers leave operations with this one to it.
    __array_ufunc__ = None

    def __init__(self, builder: Any, value: Any, kind: str, flags: tuple[str, ...]) -> None:
        self.builder, self.value, self.kind, self.flags = builder, value, kind, flags

    def make(self, value: Any, kind: str) -> "_Traced":
        """Wrap a value of the same code."""
        return _Traced(self.builder, value, kind, self.flags)

    def lift(self, other: object) -> Any:
        """Return the LLVM value of a number or constant, of this one's kind."""
        if isinstance(other, _Traced):
            if other.kind != self.kind:
                raise TypeError(f"expected a {self.kind}, found a {other.kind} in a straight-line function")
            return other.value
        from llvmlite import ir

        if self.kind == "float":
            return ir.Constant(ir.DoubleType(), float(cast("float", other)))
        # A whole number for bits, True or False for a flag.
        if isinstance(other, float | np.floating):
            raise TypeError(f"expected a whole number with {self.kind}, found {other}")
        width = 64 if self.kind == "bits" else 1
        return ir.Constant(ir.IntType(width), int(cast("int", other)))

    def _combine(self, name: str, left: Any, right: Any) -> "_Traced":
        if self.kind == "float":
            made = getattr(self.builder, "f" + name)(left, right)
            made.flags = _Flags(self.flags)
            return self.make(made, "float")
        return self.make(getattr(self.builder, name)(left, right), self.kind)

    def __add__(self, other: object) -> "_Traced":
        return self._combine("add", self.value, self.lift(other))

    def __radd__(self, other: object) -> "_Traced":
        return self._combine("add", self.lift(other), self.value)

    def __sub__(self, other: object) -> "_Traced":
        return self._combine("sub", self.value, self.lift(other))

    def __rsub__(self, other: object) -> "_Traced":
        return self._combine("sub", self.lift(other), self.value)

    def __mul__(self, other: object) -> "_Traced":
        return self._combine("mul", self.value, self.lift(other))

    def __rmul__(self, other: object) -> "_Traced":
        return self._combine("mul", self.lift(other), self.value)

    def __truediv__(self, other: object) -> "_Traced":
        return self._combine("div", self.value, self.lift(other))

    def __rtruediv__(self, other: object) -> "_Traced":
        return self._combine("div", self.lift(other), self.value)

    def __neg__(self) -> "_Traced":
        self._expect("float")
        return self.make(self.builder.fneg(self.value), "float")

    def _expect(self, kind: str) -> None:
        if self.kind != kind:
            raise TypeError(f"expected a {kind}, found a {self.kind} in a straight-line function")

    def __and__(self, other: object) -> "_Traced":
        return self.make(self.builder.and_(self.value, self.lift(other)), self.kind)

    def __or__(self, other: object) -> "_Traced":
        return self.make(self.builder.or_(self.value, self.lift(other)), self.kind)

    def __invert__(self) -> "_Traced":
        # In plain Python ~True is −2, which is true.
        raise TypeError("expected flip(condition), found ~ in a straight-line function")

    def flip(self) -> "_Traced":
        """Logical not."""
        self._expect("flag")
        return self.make(self.builder.not_(self.value), "flag")

    def _compare(self, sign: str, other: object) -> "_Traced":
        right = self.lift(other)
        if self.kind != "float":
            return self.make(self.builder.icmp_unsigned(sign, self.value, right), "flag")
        # NaN is unequal to everything and fails every other comparison.
        compare = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        made = compare(sign, self.value, right)
        made.flags = _Flags()
        return self.make(made, "flag")

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> "_Traced":  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> "_Traced":  # type: ignore[override]
        return self._compare("!=", other)

    def __lt__(self, other: object) -> "_Traced":
        return self._compare("<", other)

    def __le__(self, other: object) -> "_Traced":
        return self._compare("<=", other)

    def __gt__(self, other: object) -> "_Traced":
        return self._compare(">", other)

    def __ge__(self, other: object) -> "_Traced":
        return self._compare(">=", other)

    def __bool__(self) -> bool:
        raise TypeError("a straight-line function cannot branch: expected select(condition, a, b)")

    def call(self, name: str, *others: object) -> "_Traced":
        """Use an LLVM function of doubles, such as ``llvm.sqrt``."""
        from llvmlite import ir

        self._expect("float")
        double = ir.DoubleType()
        values = [self.value, *map(self.lift, others)]
        function = self.builder.module.declare_intrinsic(
            name, [double], ir.FunctionType(double, [double] * len(values))
        )
        return self.make(self.builder.call(function, values), "float")

    def cast(self, kind: str) -> "_Traced":
        """Read the bits of a float as an unsigned number, or back."""
        from llvmlite import ir

        target = ir.DoubleType() if kind == "float" else ir.IntType(64)
        return self.make(self.builder.bitcast(self.value, target), kind)


def select(condition: bool, if_true: float, if_false: float) -> float:
    """Return one of two floats, both of which are computed."""
    traced: object = condition
    if not isinstance(traced, _Traced):
        if isinstance(traced, np.ndarray):
            return cast("float", np.where(traced, if_true, if_false))
        return if_true if condition else if_false
    first = _first_traced((if_true, if_false))
    like = traced.make(None, "float") if first is None else first
    chosen = traced.builder.select(traced.value, like.lift(if_true), like.lift(if_false))
    return cast("float", like.make(chosen, like.kind))


def flip(condition: bool) -> bool:
    """Logical not."""
    traced: object = condition
    return cast("bool", traced.flip()) if isinstance(traced, _Traced) else np.logical_not(condition)


def square_root(x: float) -> float:
    """Square root; NaN of negative numbers."""
    if isinstance(x, _Traced):
        return cast("float", x.call("llvm.sqrt"))
    return cast("float", np.sqrt(x))


def absolute(x: float) -> float:
    """Absolute value."""
    return cast("float", x.call("llvm.fabs")) if isinstance(x, _Traced) else abs(x)


def fused_multiply_add(a: N, b: N, c: N) -> N:
    """a·b + c with one rounding, for the exact error of a product or the residual of a quotient.

    In plain Python, and on processors without that instruction, exact only for that use, where the sum
    cancels. In plain Python it takes arrays too.
    """
    traced = _first_traced((a, b, c))
    if traced is None:
        return _sum_of_product(a, b, c)
    first, second, third = (traced.make(traced.lift(x), "float") for x in (a, b, c))
    if _processor_fuses():
        return cast("N", first.call("llvm.fma", second, third))
    # LLVM would call a library function, once per option.
    plain: Any = _sum_of_product
    return cast("N", _with_flags(plain(*(_with_flags(x, ()) for x in (first, second, third))), traced.flags))


@cache
def _processor_fuses() -> bool:
    from llvmlite import binding
    from numba.core import config

    if not binding.get_process_triple().startswith(("x86_64", "i386", "i686", "amd64")):
        return True
    features = vars(config)["CPU_FEATURES"]
    return "+fma" in (binding.get_host_cpu_features().flatten() if features is None else features).split(",")


def _sum_of_product(a: N, b: N, c: N) -> N:
    # Dekker's product. The sum is exact where a·b and −c agree to a factor of 2.
    split_a, split_b = 134217729.0 * a, 134217729.0 * b
    high_a, high_b = split_a - (split_a - a), split_b - (split_b - b)
    low_a, low_b = a - high_a, b - high_b
    product = a * b
    error = ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b
    return (product + c) + error


def bits_of(x: float) -> Any:
    """Bits of a float as an unsigned number; those of positive floats keep their order."""
    return x.cast("bits") if isinstance(x, _Traced) else np.asarray(x, dtype=np.float64).view(np.uint64)[()]


def float_of(bits: Any) -> float:
    """Float with the given bits."""
    if isinstance(bits, _Traced):
        return cast("float", bits.cast("float"))
    return cast("float", np.asarray(bits, dtype=np.uint64).view(np.float64)[()])


def shift_right(bits: Any, count: int) -> Any:
    """Bits moved down, filled up with zeros."""
    if isinstance(bits, _Traced):
        return bits.make(bits.builder.lshr(bits.value, bits.lift(count)), "bits")
    return bits >> np.uint64(count)


def shift_left(bits: Any, count: int) -> Any:
    """Bits moved up, filled up with zeros."""
    if isinstance(bits, _Traced):
        return bits.make(bits.builder.shl(bits.value, bits.lift(count)), "bits")
    return bits << np.uint64(count)


class Straight(Intrinsic[P, R], Generic[P, R]):
    """A straight-line function; see `straight`."""

    def __init__(self, plain: Callable[P, R], flags: tuple[str, ...]) -> None:
        super().__init__(plain, lambda: _intrinsic(plain, flags))
        self._flags = flags

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute on numbers, or write the operations of traced ones."""
        call = cast("Callable[..., R]", self.plain)
        traced = _first_traced((*args, *kwargs.values()))
        if traced is None:
            # As compiled: no complaint about division by zero, bits that wrap around, infinities or NaN.
            numbers = [np.float64(x) if type(x) is float else x for x in args]
            named = {name: np.float64(x) if type(x) is float else x for name, x in kwargs.items()}
            with np.errstate(all="ignore"):
                return call(*numbers, **named)
        if traced.flags == self._flags:
            return call(*args, **kwargs)
        # A function keeps its own rule on fusing inside another one.
        own = [_with_flags(x, self._flags) for x in args]
        result = call(*own, **{name: _with_flags(x, self._flags) for name, x in kwargs.items()})
        if isinstance(result, tuple):
            return cast("R", tuple(_with_flags(x, traced.flags) for x in result))
        return cast("R", _with_flags(result, traced.flags))


def straight(function: Callable[P, R]) -> Straight[P, R]:
    """Decorate a function of floats and flags that returns a float, a flag or a tuple of them."""
    return cast("Straight[P, R]", update_wrapper(Straight(function, ("contract",)), function))


def exact(function: Callable[P, R]) -> Straight[P, R]:
    """Decorate a straight-line function whose roundings matter: nothing is fused in it."""
    return cast("Straight[P, R]", update_wrapper(Straight(function, ()), function))


def _first_traced(values: Iterable[object]) -> _Traced | None:
    return next((x for x in values if isinstance(x, _Traced)), None)


def _with_flags(value: object, flags: tuple[str, ...]) -> object:
    if isinstance(value, _Traced):
        return _Traced(value.builder, value.value, value.kind, flags)
    return value


def _intrinsic(plain: Callable[..., object], flags: tuple[str, ...]) -> Callable[..., object]:
    from numba import types
    from numba.extending import intrinsic

    names = list(inspect.signature(plain).parameters)

    @cache
    def kinds_of(argument_kinds: tuple[str, ...]) -> tuple[str, ...] | str:
        # Which kinds come out: found by writing the function into a module that is thrown away.
        from llvmlite import ir

        sorts = {"float": ir.DoubleType(), "flag": ir.IntType(1)}
        function_type = ir.FunctionType(ir.VoidType(), [sorts[kind] for kind in argument_kinds])
        function = ir.Function(ir.Module(), function_type, "trial")
        builder = ir.IRBuilder(function.append_basic_block())
        result = plain(
            *(_Traced(builder, x, kind, flags) for x, kind in zip(function.args, argument_kinds, strict=True))
        )
        return tuple(map(_kind, result)) if isinstance(result, tuple) else _kind(result)

    def typed(typing_context: Any, *arguments: Any) -> Any:
        if len(arguments) != len(names):
            raise TypeError(f"expected the arguments {', '.join(names)}, found {len(arguments)}")
        kinds = tuple("flag" if isinstance(x, types.Boolean) else "float" for x in arguments)
        numba_types = {"float": types.float64, "flag": types.boolean}
        out = kinds_of(kinds)
        many: Any = types.Tuple
        results = numba_types[out] if isinstance(out, str) else many([numba_types[k] for k in out])

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            traced = [_Traced(builder, x, k, flags) for x, k in zip(values, kinds, strict=True)]
            result = plain(*traced)
            if isinstance(result, tuple):
                return context.make_tuple(builder, signature.return_type, [_value(x) for x in result])
            return _value(result)

        return results(*(numba_types[kind] for kind in kinds)), generate

    # numba matches calls with the signature it can see.
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    seen = [inspect.Parameter(name, kind) for name in ("typing_context", *names)]
    typed.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
    return cast("Callable[..., object]", intrinsic(typed))


def _kind(result: object) -> str:
    kind = result.kind if isinstance(result, _Traced) else "float"
    if kind == "bits":
        raise TypeError("expected a float or a flag as result, found bits: use float_of")
    return kind


def _value(result: object) -> Any:
    if isinstance(result, _Traced):
        return result.value
    from llvmlite import ir

    return ir.Constant(ir.DoubleType(), float(cast("float", result)))
