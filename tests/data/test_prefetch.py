"""The prefetcher: order, bounds, errors, and threads that end."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import torch

from vgsearch.data.prefetch import Prefetcher


class Numbers:
    """Batch n holds 10 n, 10 n + 1, ...; counts what it is asked for."""

    def __init__(self, size: int = 4, delay_s: Callable[[int], float] = lambda position: 0.0) -> None:
        self.size = size
        self.delay_s = delay_s
        self.planned: list[int] = []
        self.loading_threads: set[str] = set()
        self.fails_at: int | None = None

    def plan(self, number: int) -> list[int]:
        self.planned.append(number)
        return [10 * number + i for i in range(self.size)]

    def load(self, plan: list[int], position: int) -> int:
        self.loading_threads.add(threading.current_thread().name)
        time.sleep(self.delay_s(position))
        if plan[position] == self.fails_at:
            raise ArithmeticError(f"item {plan[position]}")
        return plan[position]

    def collate(self, plan: list[int], items: list[int]) -> list[int]:
        assert items == plan
        return items


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vgsearch-loader")]


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture(autouse=True)
def _no_thread_stays() -> object:
    yield
    assert wait_until(lambda: not loader_threads())


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_batches_come_in_order(threads: int) -> None:
    source = Numbers(delay_s=lambda position: 0.003 * (3 - position))
    batches = list(Prefetcher(source, 12, threads=threads))
    assert batches == [[10 * n + i for i in range(4)] for n in range(12)]
    assert source.planned == list(range(12))
    assert len(source.loading_threads) == threads


def test_no_batches() -> None:
    assert list(Prefetcher(Numbers(), 0, threads=2)) == []


def test_reads_ahead_but_no_further() -> None:
    source = Numbers()
    with Prefetcher(source, 100, threads=2, ahead=3) as prefetcher:
        assert wait_until(lambda: source.planned == [0, 1, 2])
        time.sleep(0.05)
        assert source.planned == [0, 1, 2]
        assert next(prefetcher) == [0, 1, 2, 3]
        assert wait_until(lambda: source.planned == [0, 1, 2, 3])


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_in_its_turn_and_ends_the_threads(threads: int) -> None:
    source = Numbers()
    source.fails_at = 22
    prefetcher = Prefetcher(source, 100, threads=threads)
    assert next(prefetcher)[0] == 0
    assert next(prefetcher)[0] == 10
    with pytest.raises(ArithmeticError, match="item 22"):
        next(prefetcher)
    assert not loader_threads()
    with pytest.raises(StopIteration):
        next(prefetcher)


def test_an_error_while_planning_is_raised_in_its_turn() -> None:
    class Unplanned(Numbers):
        def plan(self, number: int) -> list[int]:
            if number == 1:
                raise ArithmeticError("no plan")
            return super().plan(number)

    prefetcher = Prefetcher(Unplanned(), 100, threads=2)
    assert next(prefetcher)[0] == 0
    with pytest.raises(ArithmeticError, match="no plan"):
        next(prefetcher)


def test_closing_in_the_middle_ends_the_threads() -> None:
    prefetcher = Prefetcher(Numbers(delay_s=lambda position: 0.01), 1000, threads=3)
    next(prefetcher)
    prefetcher.close()
    assert not loader_threads()
    prefetcher.close()
    assert list(prefetcher) == []


def test_dropping_the_iterator_ends_the_threads() -> None:
    prefetcher = Prefetcher(Numbers(), 1000, threads=3)
    next(prefetcher)
    assert loader_threads()
    del prefetcher
    gc.collect()
    assert wait_until(lambda: not loader_threads())


def test_torch_uses_one_core_in_a_loader_thread_and_stays_as_it_was_outside() -> None:
    class Counting(Numbers):
        def load(self, plan: list[int], position: int) -> int:
            return torch.get_num_threads()

        def collate(self, plan: list[int], items: list[int]) -> list[int]:
            return items

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert list(Prefetcher(Counting(), 3, threads=2)) == [[1] * 4] * 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_interpreter_can_end_while_threads_are_at_work() -> None:
    program = """
import torch
from vgsearch.data.prefetch import Prefetcher

class Slow:
    def plan(self, number): return [0] * 8
    def load(self, plan, position): return torch.rand(400, 400) @ torch.rand(400, 400)
    def collate(self, plan, items): return items

prefetcher = Prefetcher(Slow(), 10**6, threads=3, ahead=10**6)
next(prefetcher)
print("leaving")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "leaving\n", "")


@pytest.mark.parametrize(("threads", "ahead"), [(0, 1), (1, 0)])
def test_arguments_are_checked(threads: int, ahead: int) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        Prefetcher(Numbers(), 1, threads=threads, ahead=ahead)
