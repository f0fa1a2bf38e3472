"""The tests of a soup: scored only where that is asked for, and every scoring counted."""

from __future__ import annotations

from collections.abc import Mapping

from vgsearch.cli.soup_run import SoupRun, watching
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.soup_report import SoupReport, Watch
from vgsearch.models.ensemble import model_identity
from vgsearch.registry.kept_tests import keep_test
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.scored_tests import NO_LOOKS, model_key
from vgsearch.reporting.before_after import render_before_after
from vgsearch.reporting.looks import looks_line
from vgsearch.retrieval.compare import compare_splits
from vgsearch.retrieval.recall import RECALL_NS, RetrievalResult
from vgsearch.retrieval.scoring import stamp_of
from vgsearch.training.data_cache import load_split


def score_on_tests(run: SoupRun, report: SoupReport) -> None:
    """Score soup and best ingredient on the tests, counted, and lay the two side by side."""
    data = run.shelf.data
    if not data.tests:
        run.say("--score-tests: the search's data section has no tests")
        return
    sets = {name: load_split(folder, data.positive_distance_m, name) for name, folder in data.tests.items()}
    best = report.pot.best.version
    with watching(run.console) as watch:
        before = _tested(run, sets, best, watch)
        # A soup of one is that model: scoring it again would show nothing.
        after = before if len(report.recipe) == 1 else _tested(run, sets, report.version, watch)
    if len(report.recipe) == 1:
        for name, result in before.items():
            run.say(f"test/{name}: {result.summary()}")
    else:
        named = {
            f"test/{name}": at_each for name, at_each in compare_splits(before, after, RECALL_NS).items()
        }
        run.console.print()
        run.console.print(
            render_before_after(named, best=best.reference, role="best ingredient", made="soup")
        )
    looks = run.registry.test_scorings(run.shelf.search)
    line = looks_line({f"test/{name}": looks.get(name, NO_LOOKS) for name in sets})
    if line:
        run.say(line)


def _tested(
    run: SoupRun, sets: Mapping[str, RetrievalSet], version: ModelVersion, watch: Watch
) -> dict[str, RetrievalResult]:
    """Results on the tests: what the search recorded for these very weights, or a new scoring, counted."""
    folder = run.registry.download(version.reference)
    identity = model_identity(folder)
    key = model_key(identity.weights_sha256, identity.architecture)
    results = {}
    for name, content in run.registry.recorded_tests(version, key).items():
        if name in sets:
            result = RetrievalResult.from_npz(content)
            if result.stamp == stamp_of(sets[name], run.shelf.eval_config):
                results[name] = result
    missing = {name: each for name, each in sets.items() if name not in results}
    watch.expect(sum(len(each.database) + len(each.queries) for each in missing.values()))
    scored = run.models.score(folder, missing, label=version.reference, progress=watch.progress)
    for name, result in scored.items():
        run.registry.count_test_scoring(
            run.shelf.search, name, reference=version.reference, stamp=result.stamp, model=key
        )
        keep_test(run.registry, version, key, name, stamp=result.stamp, content=result.to_npz_bytes())
    return {name: (results | scored)[name] for name in sets}
