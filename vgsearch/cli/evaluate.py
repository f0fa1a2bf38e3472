"""`vgsearch evaluate`: recalls of any model on any split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.against import Against
from vgsearch.cli.options import (
    DEFAULT_DATA_ROOT,
    DEFAULT_HOME,
    MODEL_HELP,
    BatchSize,
    CropHeight,
    CropWidth,
    DataRoot,
    Home,
    ScoredQueryMethod,
    UseStore,
)
from vgsearch.cli.pair_pictures import Pictures
from vgsearch.cli.rerank import Rerank, RerankPrecision, Top
from vgsearch.cli.styled_sets import Fda, FdaBeta, FdaRequest, FdaSeed, FdaStyle
from vgsearch.config.fda import DEFAULT_SEED

if TYPE_CHECKING:
    from vgsearch.cli.named_model import NamedModel
    from vgsearch.cli.rerank import Reranker
    from vgsearch.cli.sealed_tests import Seal
    from vgsearch.config.query_method import QueryMethod
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.retrieval.compare import PairedComparison
    from vgsearch.retrieval.descriptor_store import DescriptorStore
    from vgsearch.retrieval.recall import RetrievalResult


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help=MODEL_HELP),
    ],
    on: Annotated[
        list[str],
        typer.Option(
            metavar="SPLIT",
            help="A split of the checkpoint's own file (val, a test's name, ...) or a folder with database/ "
            "and queries/, or FOLDER#QUERIES. May be given several times.",
        ),
    ],
    against: Against = None,
    resize_px: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at scoring; default as in the checkpoint.")
    ] = None,
    batch_size: BatchSize = None,
    query_method: ScoredQueryMethod = None,
    crop_height_px: CropHeight = None,
    crop_width_px: CropWidth = None,
    positive_distance_m: Annotated[
        float | None, typer.Option(min=0.01, help="A database image this near is right; default as trained.")
    ] = None,
    distance_curve: Annotated[
        bool,
        typer.Option(
            "--distance-curve",
            help="Also recall for positives within 1 to 100 m, from the same search; with --save as CSV.",
        ),
    ] = False,
    rerank: Rerank = None,
    top: Top = None,
    rerank_precision: RerankPrecision = "auto",
    pictures: Pictures = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the per-query results, one .npz for each split.")
    ] = None,
    fda: Fda = None,
    fda_beta: FdaBeta = None,
    fda_seed: FdaSeed = DEFAULT_SEED,
    fda_style: FdaStyle = None,
    use_store: UseStore = True,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Score a model: recall@1, 5, 10 and 20 with their 95% intervals and the number of queries.

    Each scoring of a test split is counted in the model's search, the count is said, and the result is kept
    with the model's run, where vgsearch report finds it.

    With --against another split of the same queries is scored too, and the difference from it to each --on is
    shown at R@1, 5 and 10 with its 95% interval over places and McNemar's exact test: is a translated split
    better than the photos as they are? On tests each of the splits is a scoring.

    With --fda the photos are scored in another style, kept apart from plain ones in all that is stored.

    With --rerank the same candidates are judged in a second order too, on the same queries; on a test each n
    counts as a scoring, and is kept as a result of its own.

    What it makes of the images is kept, so that scoring it again reads no image (see vgsearch descriptors).
    """
    from vgsearch.cli.against import compare_against, require_comparable
    from vgsearch.cli.checkpoints import find_split
    from vgsearch.cli.files import write_files
    from vgsearch.cli.named_model import STORE_FOLDER, lasting_name, named_model
    from vgsearch.cli.pair_pictures import require_reranker
    from vgsearch.cli.rerank import load_reranker
    from vgsearch.cli.sealed_tests import Seal
    from vgsearch.data.retrieval_set import load_retrieval_set
    from vgsearch.errors import ConfigError
    from vgsearch.reporting.comparison_looks import looks_remark
    from vgsearch.retrieval.descriptor_store import DescriptorStore

    console = Console()
    home = home.resolve()
    require_reranker(pictures, rerank)
    if against is not None and rerank is not None:
        raise ConfigError(
            [
                "--against compares two splits and --rerank two orders of one: leave one of them out, or run "
                "--rerank on each split by itself"
            ]
        )
    model = named_model(
        checkpoint,
        home,
        resize_px=resize_px,
        batch_size=batch_size,
        query_method=query_method,
        crop_height_px=crop_height_px,
        crop_width_px=crop_width_px,
    )
    reranker = load_reranker(rerank, top, rerank_precision, model, home)
    distance_m = positive_distance_m or model.spec.data.positive_distance_m
    sets = [
        load_retrieval_set(path, distance_m, name=name)
        for name, path in (find_split(split, model.spec.data, data_root.resolve()) for split in on)
    ]
    style = FdaRequest(fda, fda_beta, fda_seed, fda_style)
    sets = style.apply(sets, model.spec.data.train, data_root.resolve())
    other: RetrievalSet | None = None
    if against is not None:
        name, path = find_split(against, model.spec.data, data_root.resolve(), option="--against")
        other = load_retrieval_set(path, distance_m, name=name)
        require_comparable(other, sets)
        sets.insert(0, other)
    store = DescriptorStore(home / STORE_FOLDER) if use_store else None
    label = lasting_name(model, home) if use_store else ""
    seal = Seal(model, home)
    seal.check(sets)
    files: dict[str, bytes] = {}
    other_result: RetrievalResult | None = None
    pairs: list[tuple[str, PairedComparison]] = []
    for retrieval_set in sets:
        result, is_stored = _score(model, retrieval_set, store, label, console)
        stem = retrieval_set.name.replace("/", "_")
        files[f"{stem}.npz"] = result.to_npz_bytes()
        looked = seal.note(retrieval_set, result.stamp)
        seal.keep(retrieval_set, result)
        facts = [
            f"{retrieval_set.name}: {result.summary()}",
            f"database {len(retrieval_set.database)}, positives within {distance_m:g} m",
            *([str(style)] if fda and retrieval_set is not other else []),
            *_query_facts(model.eval_config.query_method, result, is_stored),
            *([looked] if looked else []),
        ]
        console.print("; ".join(facts), markup=False, highlight=False, soft_wrap=True)
        if retrieval_set is other:
            other_result = result
        elif other_result is not None:
            for pair in compare_against(other_result, result):
                line = f"  against {other_result.set_name}: {pair}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)
                pairs.append((f"{retrieval_set.name} R@{pair.first.n}", pair))
        if reranker is not None:
            reordered = _rerank(
                reranker, model, retrieval_set, result, seal, console, home, use_store, pictures
            )
            files |= {f"{stem}_geowarp_top{n}.npz": each.to_npz_bytes() for n, each in reordered.items()}
        if distance_curve:
            files[f"{stem}_distance_curve.csv"] = _show_curve(result, retrieval_set, console)
    remark = looks_remark(pairs)
    if remark is not None:
        console.print(remark, markup=False, highlight=False, soft_wrap=True)
    if save is not None:
        write_files(save, files)
        console.print(f"per-query results: {save}", markup=False, highlight=False)


def _query_facts(method: QueryMethod, result: RetrievalResult, is_stored: bool) -> list[str]:
    """The method where it is not the plain one, and what describing the queries took."""
    facts = [] if method == "native" else [f"queries by {method}"]
    if is_stored:
        facts.append("from stored descriptors")
    elif result.query_extraction_s is None:
        facts.append("queries from stored descriptors")
    else:
        facts.append(f"queries described in {result.query_extraction_s:.2f} s")
    return facts


def _rerank(
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    plain: RetrievalResult,
    seal: Seal,
    console: Console,
    home: Path,
    use_store: bool,
    pictures: Path | None,
) -> dict[int, RetrievalResult]:
    """Re-rank for each n, count and keep the results where the set is a test, and print what they are."""
    from vgsearch.cli.pair_pictures import write_pictures
    from vgsearch.cli.rerank import rerank_counted

    results, lines = rerank_counted(
        reranker, model, retrieval_set, plain, seal, console, home, use_store=use_store
    )
    if pictures is not None:
        lines += write_pictures(pictures, reranker, model, retrieval_set, plain, results)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return results


def _show_curve(result: RetrievalResult, retrieval_set: RetrievalSet, console: Console) -> bytes:
    """Print the table of a curve; returns all of it as CSV."""
    from vgsearch.reporting.distance_curve import distance_curve_csv, render_distance_curve
    from vgsearch.retrieval.distance_curve import distance_curve

    assert result.neighbour_ids is not None  # a detailed result has them
    points = distance_curve(result.neighbour_ids, retrieval_set)
    console.print(render_distance_curve(retrieval_set.name, points))
    return distance_curve_csv(points)


def _score(
    model: NamedModel,
    retrieval_set: RetrievalSet,
    store: DescriptorStore | None,
    label: str,
    console: Console,
) -> tuple[RetrievalResult, bool]:
    """The result, and whether it needed no extraction."""
    from vgsearch.cli.named_model import score_with_bar
    from vgsearch.errors import StorageError

    try:
        return score_with_bar(model, retrieval_set, store, label, console)
    except StorageError as error:
        raise StorageError(f"{error}; --no-store scores without it") from error
