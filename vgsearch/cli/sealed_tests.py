"""Tests stay sealed: each scoring is counted before its recall is shown, and the count shown with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from vgsearch.cli.named_model import NamedModel
from vgsearch.cli.store import open_registry
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.data.split_parts import find_parts
from vgsearch.errors import DataError, RegistryError, RegistryUnreachableError
from vgsearch.registry.checkpoint_files import LINEAGE_FILE
from vgsearch.registry.kept_tests import keep_test
from vgsearch.registry.names import search_of_model
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.references import RunReference, VersionReference, parse_reference
from vgsearch.registry.scored_tests import NO_LOOKS, model_key
from vgsearch.registry.store_uri import STORE_FILE
from vgsearch.reporting.looks import looks_in_words
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.translation.origin import original_of
from vgsearch.translation.translated_name import TranslatedName


class Seal:
    """The tests of one model's file, and the count of their scorings in the model's search."""

    def __init__(self, model: NamedModel, home: Path) -> None:
        """Nothing is opened before it is needed.

        Args:
            model: What is scored.
            home: absolute; names the registry.
        """
        self._model = model
        self._home = home

    @property
    def key(self) -> str:
        """Tells the model from others."""
        return model_key(self._model.identity.weights_sha256, self._model.identity.architecture)

    @property
    def search(self) -> str:
        """The search that the model is recorded under; for a folder, the one that it says it comes from."""
        if self._model.reference.startswith("models:/"):
            parsed = parse_reference(self._model.reference)
            if isinstance(parsed, VersionReference):
                return search_of_model(parsed.name)
        return self._model.spec.search

    def test_of(self, retrieval_set: RetrievalSet) -> str | None:
        """Which test of the model's file a set is, however it was named; None for any other set.

        Translated or styled photos of a test are still that test's places.
        """
        return self._test_by(Path.resolve, retrieval_set) or self._test_by(original_of, retrieval_set)

    def _test_by(self, identity: Callable[[Path], Path], retrieval_set: RetrievalSet) -> str | None:
        """The test whose two folders are those of a set, under some idea of which folders are the same."""
        asked = [identity(part.root) for part in (retrieval_set.database, retrieval_set.queries)]
        for name, split in self._model.spec.data.tests.items():
            # A test that is not on this machine is not what was loaded from it.
            with suppress(DataError):
                parts = find_parts(Path(split))
                if [identity(parts.database), identity(parts.queries)] == asked:
                    return name
        return None

    def check(self, sets: Sequence[RetrievalSet]) -> None:
        """Ask the store, if a test is among `sets`, before hours are spent on scoring it.

        Raises:
            RegistryError: it cannot be opened or does not answer, so no test may be scored.
        """
        if any(self.test_of(each) is not None for each in sets):
            _ = self._problem

    def note(self, retrieval_set: RetrievalSet, stamp: str) -> str:
        """Count a scoring and say how often the test was scored so far; empty for a set that is no test.

        Raises:
            RegistryUnreachableError: the store does not answer, so nobody may see the recall.
        """
        test = self.test_of(retrieval_set)
        return "" if test is None else self.count(test, stamp)

    def count(self, test: str, stamp: str, *, scored: NamedModel | None = None) -> str:
        """Count a scoring of a test, by this model or by another one, and say how often there was one.

        Raises:
            RegistryUnreachableError: the store does not answer.
        """
        if self._problem:
            return self._problem
        model = scored or self._model
        looks = self._registry.count_test_scoring(
            self.search,
            test,
            reference=model.reference,
            stamp=stamp,
            model=model_key(model.identity.weights_sha256, model.identity.architecture),
        )
        return self._said(looks_in_words(looks))

    def keep(self, retrieval_set: RetrievalSet, result: RetrievalResult) -> None:
        """Keep a test's result with the run of the model, if it is a recorded one, for `vgsearch report`.

        The name of its set says of a translation how it was made; of photos that were changed in any other
        way, which are not those of the test, nothing is kept.
        """
        translated = TranslatedName.of_folders(retrieval_set.database.root, retrieval_set.queries.root)
        if translated is None:
            test = self._test_by(Path.resolve, retrieval_set)
        else:
            test = self.test_of(retrieval_set)
        version = None if test is None or self._problem else self._version()
        if test is not None and version is not None:
            if translated is not None:
                result = replace(result, set_name=translated.set_name(result.set_name))
            content = result.to_npz_bytes()
            keep_test(self._registry, version, self.key, test, stamp=result.stamp, content=content)

    def so_far(self, test: str) -> str:
        """Say how often a test was scored, without counting."""
        if self._problem:
            return self._problem
        return self._said(looks_in_words(self._registry.test_scorings(self.search).get(test, NO_LOOKS)))

    def recorded_tests(self) -> dict[str, bytes]:
        """Per-query results of tests that the search recorded for these very weights, by test name."""
        version = None if self._problem else self._version()
        return {} if version is None else self._registry.recorded_tests(version, self.key)

    @property
    def is_spoiled(self) -> bool:
        """Whether a test had a say in choosing this model or anything it was made of."""
        try:
            lineage = json.loads((self._model.folder / LINEAGE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a trial has none
            lineage = None
        if isinstance(lineage, dict) and lineage.get("selected_on_test") is True:
            return True
        version = None if self._problem else self._version()
        return version is not None and version.selected_on_test

    def _said(self, looks: str) -> str:
        spoiled = "; a test had a say in choosing this model, so no test judges it" if self.is_spoiled else ""
        return f"{looks}{spoiled}"

    @cached_property
    def _registry(self) -> Registry:
        return open_registry(self._home)

    @cached_property
    def _problem(self) -> str:
        """Why nothing can be counted; empty where it can."""
        # A store is not made only to find that it is empty.
        if not os.environ.get("MLFLOW_TRACKING_URI") and not (self._home / STORE_FILE).exists():
            return f"not counted: {self._home} has no MLflow store"
        registry = self._registry
        try:
            registry.test_scorings(self.search)
        except RegistryUnreachableError:
            raise
        except RegistryError as error:
            return f"not counted: {error}"
        return ""

    def _version(self) -> ModelVersion | None:
        """The recorded version that the model is."""
        weights = self._model.identity.weights_sha256
        found = [each for each in self._registry.versions(self.search) if each.weights_sha256 == weights]
        reference = self._model.reference
        parsed = parse_reference(reference) if reference.startswith(("models:/", "runs:/")) else None
        if isinstance(parsed, RunReference):
            found = [version for version in found if version.run_id == parsed.run_id]
        elif isinstance(parsed, VersionReference):
            found = [each for each in found if parsed.version == each.version or parsed.alias in each.aliases]
        return found[-1] if found else None
