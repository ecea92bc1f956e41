"""Whether tuples hold the very same objects: never mistaken for whether these are equal."""

from __future__ import annotations

import gc
import operator
import random
import sys
import threading

import pytest

from nbsnap import identity

WAYS = {
    "by memory": identity.same,
    "one by one": identity._one_by_one,
    "lists": lambda some, others: identity.same_in_lists(list(map(list, some)), list(others)),
    "lists, one by one": lambda some, others: identity._lists_one_by_one(list(map(list, some)), list(others)),
}


@pytest.mark.parametrize("same", WAYS.values(), ids=WAYS)
def test_equal_is_not_the_same(same):
    """Numbers of other types, other zeros, equal texts and tuples, wherever they stand; and the very same ones."""
    some = (1, 0.0, "text" * 9, (1, 2.5), None, b"bytes" * 9, 10**30, float("nan"))
    assert same([some, (), some], [(*some,), (), some]) == [True, True, True]
    text, data, number = "".join(["text"] * 9), b"".join([b"bytes"] * 9), int("1" + "0" * 30)
    others = [True, -0.0, text, (*[1, 2.5],), False, data, number, float("nan")]
    for place, other in enumerate(others):
        changed = (*some[:place], other, *some[place + 1 :])
        assert same([some, changed, some], [changed, some, some]) == [False, False, True]
    assert same([some, some[:-1], some], [some[:-1], some, some[::-1]]) == [False] * 3


def test_all_ways_say_the_same():
    """Of random tuples, short and long, all ways tell the same."""
    rng = random.Random(3)
    pairs = []
    for _ in range(2_000):
        some = tuple(float(rng.randrange(3)) for _ in range(rng.randrange(200)))
        other = [*some]
        if other and rng.random() < 0.5:
            place = rng.randrange(len(other))
            other[place] = rng.choice([float(other[place]) + 0.0, other[place], other[place - 1]])
        pairs.append((some, (*other,)))
    found = identity.same(*zip(*pairs, strict=True))
    for same in WAYS.values():
        assert found == same(*zip(*pairs, strict=True))
    assert set(found) == {True, False}


@pytest.mark.skipif(sys.platform == "win32", reason="memcmp is not the interpreter's own there")
def test_memory_is_compared_here():
    """What is fast is used where it can be."""
    assert identity.same is not identity._one_by_one
    assert identity.same_in_lists is not identity._lists_one_by_one


def test_lists_that_others_change_all_the_time():
    """However often another thread makes lists longer and shorter, each is told as it was at one moment."""
    rng = random.Random(5)
    items = [float(number) for number in range(3_000)]
    lists = [items[: rng.choice([1, 60, 61, 1_000, 3_000])] for _ in range(60)]
    were = [tuple(one) for one in lists]
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for one, other in zip(lists[:40], were, strict=False):
                one.clear()
                one.extend(other[: len(other) // 2])
                one.extend(range(10_000))
                del one[len(other) // 2 :]
                one.extend(other[len(other) // 2 :])

    before = sys.getswitchinterval()
    thread = threading.Thread(target=change)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        told = [identity.same_in_lists(lists, were) for _ in range(1_000)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    assert all(all(found[40:]) for found in told)
    seen = {answer for found in told for answer in found[:40]}
    assert seen == {True, False}
    assert identity.same_in_lists(lists, were) == [True] * 60


def test_the_garbage_collector_is_as_it_was():
    """It is off while lists are compared, and on again afterwards, also after an error."""
    assert gc.isenabled()
    identity.same_in_lists([[1]], [(1,)])
    assert gc.isenabled()
    with pytest.raises((TypeError, ValueError)):
        identity.same_in_lists([[1], [2]], [(1,)])
    assert gc.isenabled()
    gc.disable()
    try:
        identity.same_in_lists([[1]], [(1,)])
        assert not gc.isenabled()
    finally:
        gc.enable()


def _is_same(one, other):
    return len(one) == len(other) and all(map(operator.is_, one, other))


WRONG = {
    "equal": operator.eq,
    "always": lambda one, other: True,
    "never": lambda one, other: False,
    "not the first": lambda one, other: _is_same(one[1:], other[1:]),
    "not the last": lambda one, other: _is_same(one[:-1], other[:-1]),
    "as far as the shorter": lambda one, other: all(map(operator.is_, one, other)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_not_used(wrong):
    """Where tuples are not what they are thought to be, that is noticed before anything is compared so."""
    assert identity._is_right(identity._one_by_one)
    assert not identity._is_right(lambda some, others: list(map(wrong, some, others)))
    assert not identity._is_right(lambda some, others: identity._one_by_one(some, others)[::-1])
    assert identity._is_right_of_lists(identity._lists_one_by_one)
    assert not identity._is_right_of_lists(lambda some, others: list(map(wrong, map(tuple, some), others)))
