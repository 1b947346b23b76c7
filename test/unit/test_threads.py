"""Calls in threads ahead of their use."""

import threading
from collections.abc import Iterator

import pytest

from readcount.threads import call_ahead


def test_results_are_in_the_order_of_the_items() -> None:
    second_done = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            assert second_done.wait(30)
        if number == 1:
            second_done.set()
        return 10 * number

    assert list(call_ahead(call, range(4), ahead=1)) == [0, 10, 20, 30]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_items_are_taken_only_when_their_call_is_due(ahead: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    for used, result in enumerate(call_ahead(str, items(), ahead)):
        assert result == str(used)
        assert len(taken) == min(10, used + ahead + 1)


def test_an_error_does_not_wait_for_other_calls() -> None:
    released = threading.Event()
    ended = []

    def call(number: int) -> None:
        if number == 0:
            raise ValueError("failed")
        released.wait(5)
        ended.append(number)

    with pytest.raises(ValueError, match="failed"):
        next(call_ahead(call, range(5), ahead=2))
    assert ended == []
    released.set()
