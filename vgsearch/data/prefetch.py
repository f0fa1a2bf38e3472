"""Batches made ahead of time by threads, in order, a few at a time.

Threads rather than processes: decoding and resizing release the interpreter lock, nothing is pickled, and a
batch is written once. Threads share the items of a batch: the first one comes soon, and closing is quick.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Sized
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import torch
from threadpoolctl import threadpool_limits

Plan = TypeVar("Plan", bound=Sized)
Item = TypeVar("Item")
Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class BatchSource(Protocol[Plan, Item, Batch_co]):
    """How a batch comes about. `load` and `collate` run in several threads at once."""

    def plan(self, number: int) -> Plan:
        """Decide batch `number`, quickly; its length is the batch's, >= 1. Called once for each, in order."""

    def load(self, plan: Plan, position: int) -> Item:
        """Do the slow work of one item."""

    def collate(self, plan: Plan, items: list[Item]) -> Batch_co:
        """Join the items, which stand in the plan's order."""


class Prefetcher(Generic[Plan, Item, Batch]):
    """An iterator over batches 0 to num_batches - 1 of a source, loaded ahead by threads.

    An error in a thread is raised when its batch's turn comes: a run fails in the same place every time.
    Threads end when all is loaded, on `close()`, on leaving a `with` block, and when the iterator is dropped.
    """

    def __init__(
        self, source: BatchSource[Plan, Item, Batch], num_batches: int, *, threads: int, ahead: int = 3
    ) -> None:
        """Start the threads.

        Args:
            source: What to load.
            num_batches: How many batches.
            threads: How many threads, >= 1.
            ahead: How many batches may be under way or waiting, >= 1: the bound on memory.

        Raises:
            ValueError: `threads` or `ahead` is below 1.
        """
        if threads < 1 or ahead < 1:
            raise ValueError(f"`threads` and `ahead` must be >= 1, but got ({threads=}, {ahead=})")
        self._work = _Work(source, num_batches, ahead)
        # The threads know the work but not this object, so that dropping it can end them.
        self._threads = [
            threading.Thread(target=_run, args=(self._work,), name=f"vgsearch-loader-{n}", daemon=True)
            for n in range(threads)
        ]
        weakref.finalize(self, self._work.stop).atexit = False
        _open_prefetchers.add(self)
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Prefetcher[Plan, Item, Batch]:
        return self

    def __next__(self) -> Batch:
        try:
            return self._work.take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads and wait for them, for one item each at most; the iterator is at its end."""
        self._work.stop()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Prefetcher[Plan, Item, Batch]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_open_prefetchers: weakref.WeakSet[Prefetcher] = weakref.WeakSet()  # type: ignore[type-arg]


@atexit.register
def _close_all() -> None:
    # A daemon thread caught inside a torch operation when the interpreter goes may abort the whole process.
    for prefetcher in list(_open_prefetchers):
        prefetcher.close()


class _Slot(Generic[Plan, Item, Batch]):
    """One batch on its way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.items: list[Item] = [None] * len(plan)  # type: ignore[list-item]
        self.handed_out = 0
        self.loaded = 0
        self.batch: list[Batch] = []  # one entry when the batch is ready
        self.error: BaseException | None = None


class _Work(Generic[Plan, Item, Batch]):
    """What the threads and the consumer share; `changed` guards all of it."""

    def __init__(self, source: BatchSource[Plan, Item, Batch], num_batches: int, ahead: int) -> None:
        self.source = source
        self.num_batches = num_batches
        self.ahead = ahead
        self.changed = threading.Condition()
        self.slots: dict[int, _Slot[Plan, Item, Batch]] = {}  # planned and not taken yet
        self.planned = 0
        self.taken = 0
        self.planning_error: BaseException | None = None
        self.stopped = False

    def take(self) -> Batch:
        """Wait for the next batch in order, for the consumer.

        Raises:
            StopIteration: All batches were taken, or the work was stopped.
        """
        with self.changed:
            if self.taken == self.num_batches:
                raise StopIteration
            while not self.stopped:
                slot = self.slots.get(self.taken)
                if slot is None and self.planning_error is not None:
                    raise self.planning_error
                if slot is not None and slot.error is not None:
                    raise slot.error
                if slot is not None and slot.batch:
                    del self.slots[self.taken]
                    self.taken += 1
                    self.changed.notify_all()
                    return slot.batch[0]
                self.changed.wait()
            raise StopIteration

    def next_task(self) -> tuple[_Slot[Plan, Item, Batch], int] | None:
        """Wait for an item to load, for a thread; None when there is nothing left to do."""
        with self.changed:
            while not self.stopped and self.planning_error is None:
                slot = self.slots.get(self.planned - 1)
                if slot is not None and slot.error is None and slot.handed_out < len(slot.items):
                    slot.handed_out += 1
                    return slot, slot.handed_out - 1
                if self.planned == self.num_batches:
                    break
                if self.planned < self.taken + self.ahead:
                    self._plan_next()
                else:
                    self.changed.wait()
            return None

    def _plan_next(self) -> None:
        try:
            self.slots[self.planned] = _Slot(self.source.plan(self.planned))
            self.planned += 1
        except Exception as error:
            self.planning_error = error
            self.changed.notify_all()

    def do(self, slot: _Slot[Plan, Item, Batch], position: int) -> None:
        """Load one item; whoever loads the last one makes the batch."""
        try:
            slot.items[position] = self.source.load(slot.plan, position)
            with self.changed:
                slot.loaded += 1
                complete = slot.loaded == len(slot.items)
            if complete:
                batch = self.source.collate(slot.plan, slot.items)
                with self.changed:
                    slot.batch.append(batch)
                    self.changed.notify_all()
        except BaseException as error:
            with self.changed:
                slot.error = slot.error or error
                self.changed.notify_all()

    def stop(self) -> None:
        """Tell everybody to stop; safe from a garbage collector's finaliser."""
        with self.changed:
            self.stopped = True
            self.slots.clear()
            self.changed.notify_all()


def _run(work: _Work[Plan, Item, Batch]) -> None:
    """Load items until there is nothing left to do."""
    # Each thread is one core's worth: without this, torch would give every one of them a team of its own. The
    # limit holds for the calling thread alone; torch sets its number on first use, so that has to come first.
    torch.get_num_threads()
    threadpool_limits(limits=1, user_api="openmp")
    while (task := work.next_task()) is not None:
        work.do(*task)
        del task  # an idle thread should not keep a batch alive
