"""One side of a comparison: its result on a split, recorded if that answers the question, else scored."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from vgsearch.cli.named_model import NamedModel, extraction_bar, lasting_name
from vgsearch.cli.sealed_tests import Seal
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.errors import DataError, StorageError
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import stamp_of
from vgsearch.training.val_scores import stored_results


@dataclass(frozen=True)
class Found:
    """A result and where it comes from.

    Attributes:
        result: Per query.
        source: In words, such as `recorded`.
        is_new: Whether the split was scored for it, so that a test must be counted.
    """

    result: RetrievalResult
    source: str
    is_new: bool


class ComparedModel:
    """A model, its recorded results, and the means to score it."""

    def __init__(
        self, model: NamedModel, home: Path, store: DescriptorStore | None, console: Console
    ) -> None:
        """Read nothing yet.

        Args:
            model: The model.
            home: absolute.
            store: Descriptors are read from it and kept in it; None leaves them.
            console: For the bar.
        """
        self.model = model
        self.seal = Seal(model, home)
        self._home = home
        self._store = store
        self._console = console

    def find(self, retrieval_set: RetrievalSet) -> Found:
        """The result on a split as its images are now.

        Raises:
            VgsearchError: the model or an image cannot be read.
        """
        stamp = stamp_of(retrieval_set, self.model.eval_config)
        for result in self._recorded:
            if result.stamp == stamp:
                return Found(result, "recorded", is_new=False)
        if self.seal.test_of(retrieval_set) is not None:
            for result in self._recorded_tests:
                if result.stamp == stamp:
                    return Found(result, "recorded", is_new=False)
        return self._score(retrieval_set)

    @cached_property
    def _recorded(self) -> list[RetrievalResult]:
        """Of the selection splits, kept in the model's folder."""
        # What is damaged is scored anew.
        with suppress(DataError):
            return list(stored_results(self.model.folder).values())
        return []

    @cached_property
    def _recorded_tests(self) -> list[RetrievalResult]:
        found = []
        for content in self.seal.recorded_tests().values():
            with suppress(DataError):
                found.append(RetrievalResult.from_npz(content))
        return found

    @cached_property
    def _label(self) -> str:
        return "" if self._store is None else lasting_name(self.model, self._home)

    def _score(self, retrieval_set: RetrievalSet) -> Found:
        parts = self.model.parts(retrieval_set.database, retrieval_set.queries)
        missing = parts if self._store is None else self.model.missing(self._store, parts)
        text = f"{self.model.reference}: extracting {retrieval_set.name}"
        with extraction_bar(self._console, text, sum(len(part.index) for part in missing)) as advance:
            try:
                result = self.model.score(retrieval_set, self._store, self._label, advance)
            except StorageError as error:
                raise StorageError(f"{error}; --no-store scores without it") from error
        return Found(result, "scored now" if missing else "from stored descriptors", is_new=True)
