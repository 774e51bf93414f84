"""Work that is done beforehand: the same results in the same order, so many under way, errors where they are due."""

import threading

import pytest

from msnas.engine.ahead import ahead


@pytest.mark.parametrize("threads", [0, 1, 3, 20])
def test_results_come_in_order(threads):
    assert list(ahead(lambda item: item * item, range(10), threads=threads)) == [n * n for n in range(10)]


def test_the_next_items_are_under_way_while_a_result_is_used():
    begun, third = [], threading.Event()

    def work(item):
        begun.append(item)
        if item == 2:
            third.set()
        return item

    results = ahead(work, range(10), threads=2)
    assert next(results) == 0
    assert third.wait(timeout=10)
    results.close()
    assert len(begun) < 10


def test_without_threads_an_item_is_worked_on_when_it_is_asked_for():
    begun = []
    results = ahead(begun.append, range(10), threads=0)
    next(results)
    assert begun == [0]


@pytest.mark.parametrize("threads", [0, 2])
def test_what_goes_wrong_is_raised_where_its_result_is_due(threads):
    results = ahead(lambda item: 1 / (3 - item), range(10), threads=threads)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
