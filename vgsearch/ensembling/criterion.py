"""What a combination is chosen by: a recall of a selection split, or, if allowed, of a test split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgsearch.config.checks import RECALLS_AT, is_safe_name
from vgsearch.config.search import DataConfig
from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import RetrievalResult

MEAN = "mean"
TEST_PREFIX = "test/"

_FORMS = (
    "val/recall_at_N, val/<split>/recall_at_N, val/mean/recall_at_N or test/<name>/recall_at_N with N one of "
    + ", ".join(str(n) for n in RECALLS_AT)
)
_TEXT = re.compile(r"(?P<part>val|test)(/(?P<split>[^/]+))?/recall_at_(?P<n>[0-9]{1,3})")


@dataclass(frozen=True)
class Criterion:
    """A recall to maximise, named as a search's objective is.

    Attributes:
        part: Selection splits, or test splits.
        split: One split's name; "" for the single unnamed selection split, "mean" for the plain mean over
            all named ones.
        n: A query is right if one of its n nearest database images is a positive.
    """

    part: Literal["val", "test"]
    split: str
    n: int

    @classmethod
    def parse(cls, text: str) -> Criterion:
        """Read `val/recall_at_1`, `val/night/recall_at_5`, `val/mean/recall_at_1`, `test/sf_xs/recall_at_1`.

        Raises:
            ConfigError: It has none of these forms; one line.
        """
        match = _TEXT.fullmatch(text)
        split = (match["split"] or "") if match else ""
        fits = match is not None and int(match["n"]) in RECALLS_AT and (not split or is_safe_name(split))
        if match is None or not fits or (match["part"] == "test" and not split):
            raise ConfigError([f"a criterion must be {_FORMS}, got {text[:200]!r}"])
        return cls("val" if match["part"] == "val" else "test", split, int(match["n"]))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.part, self.split, f"recall_at_{self.n}")))

    @property
    def is_test(self) -> bool:
        """Whether it reads a test split, so that what is chosen by it has seen a test."""
        return self.part == "test"

    def check(self, data: DataConfig, allow_test_selection: bool) -> None:
        """Refuse a criterion that `data` cannot answer, and a test split that was not allowed.

        Raises:
            ConfigError: One line that says what there is, or which flag allows it.
        """
        self.splits(data)
        if self.is_test and not allow_test_selection:
            valid = ", ".join(_valid(data))
            raise ConfigError(
                [
                    f"{self} selects on a test split: choose by a selection split ({valid}), or pass "
                    "--allow-test-selection, which tags the result `vgsearch.selected_on_test` for ever"
                ]
            )

    def splits(self, data: DataConfig) -> list[str]:
        """The splits that have to be scored, as keys of `percent`'s mapping, in the order of `data`.

        Returns:
            `[""]` for the single unnamed selection split, names for named ones, `["test/<name>"]` for a test.

        Raises:
            ConfigError: `data` has no such split.
        """
        if self.is_test:
            if self.split in data.tests:
                return [TEST_PREFIX + self.split]
            there = ", ".join(data.tests) or "none"
            raise ConfigError([f"{self}: data.tests has no {self.split}; it has: {there}"])
        named = [split for split in data.val_splits if split]
        if self.split == MEAN and named:
            return named
        if self.split in data.val_splits:
            return [self.split]
        raise ConfigError([f"{self}: there is no such selection split; choose by {', '.join(_valid(data))}"])

    def percent(self, results: Mapping[str, RetrievalResult]) -> float:
        """The criterion's value, 0 to 100: the plain mean over its splits, whatever their numbers of queries.

        Args:
            results: By split as `splits` names them; others are left aside.

        Raises:
            ValueError: A split is missing.
        """
        values = [result.at(self.n).percent for result in self._own(results)]
        return sum(values) / len(values)

    def hits(self, results: Mapping[str, RetrievalResult]) -> NDArray[np.bool_]:
        """Which queries were right, bool (q,): of all its splits one after the other, by name.

        Over several splits the mean of these weighs queries, while `percent` weighs splits.

        Raises:
            ValueError: A split is missing.
        """
        return np.concatenate([result.hits_at(self.n) for result in self._own(results)])

    def _own(self, results: Mapping[str, RetrievalResult]) -> list[RetrievalResult]:
        if self.is_test:
            names = [TEST_PREFIX + self.split]
        elif self.split == MEAN:
            names = sorted(name for name in results if name and not name.startswith(TEST_PREFIX))
        else:
            names = [self.split]
        missing = [name for name in names if name not in results]
        if missing or not names:
            raise ValueError(
                f"{self} needs results of {missing or 'named selection splits'}, got those of {list(results)}"
            )
        return [results[name] for name in names]


def _valid(data: DataConfig) -> list[str]:
    """Forms of criteria that select on val, for a message."""
    if isinstance(data.val, str):
        return ["val/recall_at_N"]
    return [f"val/{split}/recall_at_N" for split in (*data.val, MEAN)]
