"""What `vgsearch rerank` does once its file is read: find networks, score, choose, print, record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from vgsearch.cli.named_model import STORE_FOLDER, NamedModel, lasting_name, named_model, score_with_bar
from vgsearch.cli.present_reranking import choice_lines, choice_table
from vgsearch.cli.rerank import Reranker, open_reranker, rerank_counted, rerank_result
from vgsearch.cli.rerankers import find_reranker, kept_rerankers
from vgsearch.cli.sealed_tests import Seal
from vgsearch.cli.store import open_registry
from vgsearch.config.combination import CombinationDocument
from vgsearch.config.folders import absolute_data, val_problems
from vgsearch.config.rerank_search import RerankSearch, RerankSpace
from vgsearch.config.search import DataConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.rerank_choice import ScoredReranking, choose_reranking
from vgsearch.errors import ConfigError
from vgsearch.registry.rerank_runs import RerankRuns
from vgsearch.rerank.reranking import NamedReranker
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.data_cache import load_split, load_val_sets
from vgsearch.training.val_scores import recall_metrics, result_files

Results = Mapping[str, RetrievalResult]


def choose_on_val(
    document: CombinationDocument[RerankSearch],
    console: Console,
    *,
    score_tests: bool,
    home: Path,
    data_root: Path,
) -> ScoredReranking | None:
    """Score every network with every n on val, and choose the best.

    Args:
        document: The checked file.
        console: Where the outcome goes.
        score_tests: Whether the chosen one is then scored on the model's tests, counted.
        home: Absolute; its networks, its store and what it knows of pairs are used.
        data_root: Absolute; where the folders of `val` start.

    Returns:
        The chosen one; None where none is better than the plain order.

    Raises:
        VgsearchError: One line on what cannot be done.
    """
    file = document.settings
    model = named_model(file.model, home)
    data = _data(file, model, data_root)
    criterion = _criterion(file, model, data)
    networks = _networks(file.rerank, home)
    sets = load_val_sets(data)
    _require_no_test(sets, Seal(model, home))
    tops = sorted(file.rerank.n)
    _say(
        console,
        f"{file.model}: {len(networks)} network{'s' * (len(networks) > 1)} with top "
        f"{', '.join(map(str, tops))}, by {criterion}",
    )
    plain = {name: _score(model, each, home, console) for name, each in sets.items()}
    lasting = lasting_name(model, home)
    about = {
        "model": lasting,
        "model_weights_sha256": model.identity.weights_sha256,
        "val": data.val,
        "photos": {name or "val": each.query_set_hash for name, each in sets.items()},
        "criterion": str(criterion),
    }
    runs = RerankRuns(open_registry(home), file.name, document.text)
    try:
        runs.record(f"no re-ranking ({lasting})", about, recall_metrics(plain), result_files(plain))
        scored: list[ScoredReranking] = []
        for number, network in enumerate(networks, start=1):
            reranker = open_reranker(network.folder, tops, file.precision, model)
            found = _rerank(network.text, reranker, model, sets, plain, console, home)
            for each in found:
                params = {**about, **asdict(each.how)}
                costs = {"cost/rerank_ms": 1e3 * each.seconds_per_query}
                metrics = {**recall_metrics(each.results), **costs}
                label = f"{network.text} top {each.how.n} ({lasting})"
                runs.record(label, params, metrics, result_files(each.results))
            best = max(criterion.percent(each.results) for each in found)
            _say(console, f"  {number}/{len(networks)} {network.text}: {criterion} up to {best:.2f}")
            scored += found
        chosen = choose_reranking(plain, scored, criterion)
        what = "none" if chosen is None else f"geowarp:{chosen.text} top {chosen.how.n}"
        runs.finish(f"{what}, for {lasting}")
    except BaseException:
        runs.interrupt()
        raise
    console.print(choice_table(plain, scored, chosen, criterion))
    tests = list(model.spec.data.tests)
    for line in choice_lines(chosen, plain, criterion, len(scored), file, tests):
        _say(console, line)
    _say(console, f"recorded as {runs.search}")
    if score_tests and chosen is not None:
        folder = next(network.folder for network in networks if network.text == chosen.text)
        reranker = open_reranker(folder, [chosen.how.n], file.precision, model)
        _score_on_tests(reranker, model, home, console)
    return chosen


def _data(file: RerankSearch, model: NamedModel, data_root: Path) -> DataConfig:
    """The model's data section, with the file's selection splits where it names any."""
    data = model.spec.data
    if file.val is not None:
        placed = absolute_data(data.model_copy(update={"val": file.val}), data_root)
        data = data.model_copy(update={"val": placed.val})
        problems = val_problems(data)
        if problems:
            raise ConfigError([f"val: {problems[0]}; name another folder"])
    if not data.val_splits:
        raise ConfigError([f"val: {file.model} was imported without data; name its selection splits in val"])
    return data


def _criterion(file: RerankSearch, model: NamedModel, data: DataConfig) -> Criterion:
    criterion = Criterion.parse(file.criterion or model.spec.objective)
    if criterion.is_test:
        raise ConfigError([f"criterion: {criterion} is of a test; re-ranking is chosen on val alone"])
    criterion.check(data, allow_test_selection=False)
    return criterion


@dataclass(frozen=True)
class _Network:
    """A network to choose from: what it is called, where it lies, and what it is."""

    text: str
    folder: Path
    named: NamedReranker


def _networks(space: RerankSpace, home: Path) -> list[_Network]:
    """What there is to choose from."""
    if space.networks:
        option = "rerank.networks"
        folders = {text: find_reranker(f"geowarp:{text}", home, option=option) for text in space.networks}
        found = [
            _Network(text, folder, NamedReranker.of_checkpoint(folder)) for text, folder in folders.items()
        ]
    else:
        found = [_Network(folder.name, folder, named) for folder, named in kept_rerankers(home).items()]
    fitting = [
        network
        for network in found
        if (not space.encoder or network.named.sort.encoder in space.encoder)
        and (not space.pooling or network.named.sort.pooling in space.pooling)
    ]
    if not fitting:
        there = (
            ", ".join(f"{n.text} ({n.named.sort.encoder}, {n.named.sort.pooling})" for n in found) or "none"
        )
        raise ConfigError(
            [
                f"rerank: no network fits; there is {there}: make one with vgsearch import geowarp or "
                "vgsearch warp train, or ask for less in rerank.encoder and rerank.pooling"
            ]
        )
    return fitting


def _require_no_test(sets: Mapping[str, RetrievalSet], seal: Seal) -> None:
    for retrieval_set in sets.values():
        test = seal.test_of(retrieval_set)
        if test is not None:
            raise ConfigError(
                [f"val: {retrieval_set.name} is the test {test} of the model's file; choose on another split"]
            )


def _score(model: NamedModel, retrieval_set: RetrievalSet, home: Path, console: Console) -> RetrievalResult:
    """The plain order, from stored descriptors or into them."""
    store, label = DescriptorStore(home / STORE_FOLDER), lasting_name(model, home)
    return score_with_bar(model, retrieval_set, store, label, console)[0]


def _rerank(
    text: str,
    reranker: Reranker,
    model: NamedModel,
    sets: Mapping[str, RetrievalSet],
    plain: Results,
    console: Console,
    home: Path,
) -> list[ScoredReranking]:
    """One network on all selection splits, for each n."""
    by_split = {
        name: rerank_result(reranker, model, each, plain[name], console, home) for name, each in sets.items()
    }
    num_queries = sum(len(each.queries) for each in sets.values())
    per_pair = sum(seconds for _, seconds in by_split.values()) / (num_queries * reranker.tops[-1])
    return [
        ScoredReranking(
            text,
            reranker.reranking(n),
            {name: results[n] for name, (results, _) in by_split.items()},
            n * per_pair,
        )
        for n in reranker.tops
    ]


def _score_on_tests(reranker: Reranker, model: NamedModel, home: Path, console: Console) -> None:
    """Each test in both orders, counted and kept like any other scoring."""
    data, seal = model.spec.data, Seal(model, home)
    if not data.tests:
        _say(console, "--score-tests: the model's data section has no tests")
    sets = [
        load_split(folder, data.positive_distance_m, f"test/{name}") for name, folder in data.tests.items()
    ]
    seal.check(sets)
    for retrieval_set in sets:
        plain = _score(model, retrieval_set, home, console)
        seal.note(retrieval_set, plain.stamp)
        seal.keep(retrieval_set, plain)
        _, lines = rerank_counted(reranker, model, retrieval_set, plain, seal, console, home)
        for line in (f"{retrieval_set.name}: {plain.summary()}", *lines):
            _say(console, line)


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
