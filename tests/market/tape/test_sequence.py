"""Message numbers against a slow count of the definition."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ivhedge.market.tape import SequenceCounts, SequenceWatch


def slow(numbers, window):
    seen, newest, low = set(), None, None
    missing = repeated = filled = restarts = numbered = 0
    for x in numbers:
        if x < 0:
            continue
        numbered += 1
        if newest is None or x <= newest - window:
            restarts += newest is not None
            newest, low, seen = x, x, {x}
            continue
        if x > newest:
            missing += x - newest - 1
            newest = x
        elif x in seen or x < low:
            repeated += 1
        else:
            filled += 1
            missing -= 1
        seen.add(x)
    return SequenceCounts(
        numbered=numbered, missing=missing, repeated=repeated, filled=filled, restarts=restarts
    )


@given(
    steps=st.lists(st.integers(-6, 9), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    window=st.sampled_from([3, 10, 1000]),
)
def test_counts_are_those_of_the_definition_however_cut(steps, cuts, window):
    numbers = np.maximum(50 + np.cumsum(steps), -1)
    if (numbers >= 0).sum() == 0:
        numbers = np.append(numbers, 3)
    watch = SequenceWatch(window)
    edges = [0, *sorted(min(c, numbers.size) for c in cuts), numbers.size]
    for a, b in itertools.pairwise(edges):
        watch.take(numbers[a:b])
    assert watch.counts == slow(numbers.tolist(), window)


def test_a_huge_jump_costs_nothing():
    watch = SequenceWatch()
    watch.take(np.array([1, 2, 2**60]))
    assert watch.counts.missing == 2**60 - 3
    watch.take(np.array([5]))
    assert watch.counts.restarts == 1
