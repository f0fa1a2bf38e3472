"""`vgsearch evaluate --rerank`: the first candidates of each query in a new order, judged like the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from vgsearch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from vgsearch.cli.named_model import NamedModel
    from vgsearch.cli.sealed_tests import Seal
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.models.precision import Precision, PrecisionName
    from vgsearch.rerank.network import GeoWarpNetwork
    from vgsearch.rerank.reranking import NamedReranker, Reranking
    from vgsearch.retrieval.recall import RetrievalResult

DEFAULT_TOP = "5,10,15"

Rerank = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="geowarp:CHECKPOINT",
        help="Also re-rank each query's first candidates with a GeoWarp network: a folder, or a name that "
        "vgsearch import geowarp or vgsearch warp train gave.",
    ),
]
Top = Annotated[
    str | None,
    typer.Option(
        "--top",
        metavar="N,N,...",
        help=f"How many candidates are re-ranked, each n a result of its own; default {DEFAULT_TOP}.",
    ),
]
RerankPrecision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(
        "--rerank-precision",
        help="Number format of the re-ranking encoder; auto is fp16 on a GPU and fp32 elsewhere. With bf16, "
        "fastest on some CPUs, candidates that it cannot tell apart are scored again in fp32.",
    ),
]


@dataclass(frozen=True)
class Reranker:
    """A network that re-ranks, and how many candidates of each query.

    Attributes:
        named: What it is, and where it comes from.
        identity: Tells its weights and description from others.
        network: On the model's device, in eval mode.
        precision: Of its encoder.
        tops: Each n, ascending.
    """

    named: NamedReranker
    identity: str
    network: GeoWarpNetwork
    precision: Precision
    tops: tuple[int, ...]

    def reranking(self, n: int) -> Reranking:
        """What a result is counted and kept under."""
        from vgsearch.rerank.reranking import Reranking

        return Reranking(self.identity, self.precision.name, n, self.named)


def load_reranker(
    rerank: str | None, top: str | None, precision: PrecisionName, model: NamedModel, home: Path
) -> Reranker | None:
    """What `--rerank` and its options ask for; None where they ask for nothing.

    Raises:
        ConfigError: They cannot be read, or `--top` stands alone.
        CheckpointError: There is no such network, or it is damaged.
    """
    from vgsearch.cli.rerankers import find_reranker

    if rerank is None:
        if top is not None:
            raise ConfigError(["--top goes with --rerank geowarp:CHECKPOINT; add it or leave --top out"])
        return None
    tops = _tops(top or DEFAULT_TOP)
    return open_reranker(find_reranker(rerank, home), tops, precision, model)


def open_reranker(folder: Path, tops: Sequence[int], precision: PrecisionName, model: NamedModel) -> Reranker:
    """Load a network that re-ranks.

    Args:
        folder: Its checkpoint.
        tops: Each n, ascending.
        precision: Of its encoder.
        model: Gives the device.

    Raises:
        ConfigError: The device has no such precision.
        CheckpointError: The network is damaged.
    """
    from vgsearch.models.precision import resolve_precision
    from vgsearch.rerank.checkpoint import geowarp_identity, load_geowarp
    from vgsearch.rerank.reranking import NamedReranker

    on_gpu = model.device.type == "cuda"
    if precision == "fp16" and not on_gpu:
        raise ConfigError(
            [f"re-ranking in fp16 needs a GPU, and this runs on {model.device.type}; use auto, fp32 or bf16"]
        )
    if precision == "auto":
        precision = "fp16" if on_gpu else "fp32"
    return Reranker(
        NamedReranker.of_checkpoint(folder),
        geowarp_identity(folder),
        load_geowarp(folder, model.device),
        resolve_precision(precision, model.device),
        tuple(tops),
    )


def rerank_result(
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    plain: RetrievalResult,
    console: Console,
    home: Path,
    *,
    use_store: bool = True,
) -> tuple[dict[int, RetrievalResult], float]:
    """The result for each n, under a stamp and a name of its own, from one pass over the largest's pairs.

    Args:
        reranker: What scores the pairs.
        model: Gives device, threads and the batch size.
        retrieval_set: Where the photos are.
        plain: The detailed result that is re-ranked.
        console: For the bar.
        home: A folder for scratch files and stored scores.
        use_store: Whether scores are stored, and taken from there.

    Returns:
        Results by n, and the seconds that it took to score the pairs, once.

    Raises:
        VgsearchError: A photo cannot be read, or the network diverged.
        StorageError: `home` cannot be written or has no room for the features.
    """
    from vgsearch.cli.pair_scores import pair_scores
    from vgsearch.rerank.reorder import reorder
    from vgsearch.retrieval.scoring import judge

    assert plain.neighbour_ids is not None  # a detailed result has them
    candidates = plain.neighbour_ids[:, : reranker.tops[-1]]
    found = pair_scores(reranker, model, retrieval_set, candidates, console, home, use_store=use_store)
    results = {}
    for n in reranker.tops:
        how, order = reranker.reranking(n), reorder(plain.neighbour_ids, found.scores, n)
        judged = judge(order, retrieval_set, how.stamp(plain.stamp), detailed=True)
        results[n] = replace(judged, set_name=how.set_name(plain.set_name))
    return results, found.seconds


def rerank_counted(
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    plain: RetrievalResult,
    seal: Seal,
    console: Console,
    home: Path,
    *,
    use_store: bool = True,
) -> tuple[dict[int, RetrievalResult], list[str]]:
    """As `rerank_result`; where the set is a test each n is counted and kept. Returns also what to print."""
    results, _ = rerank_result(reranker, model, retrieval_set, plain, console, home, use_store=use_store)
    looks = [seal.note(retrieval_set, each.stamp) for each in results.values()]
    for each in results.values():
        seal.keep(retrieval_set, each)
    return results, rerank_lines(plain, results, looks[-1])


def rerank_lines(plain: RetrievalResult, reranked: dict[int, RetrievalResult], looks: str) -> list[str]:
    """For each n the recalls, and R@1 against not re-ranking, on the same queries; then the looks at a test.

    Args:
        plain: Without re-ranking.
        reranked: By n.
        looks: In words; empty for a set that is no test.
    """
    from vgsearch.retrieval.compare import asked_alike, compare_results

    lines = []
    for n, result in reranked.items():
        lines.append(f"  top {n} re-ranked: {result.summary()}")
        # The order is the only thing that the two stamps tell apart, and it is what is compared.
        compared = compare_results(plain, asked_alike(result, plain), 1)
        lines.append(f"    against not re-ranking: {compared}")
    return [*lines, f"  {looks}"] if looks else lines


def _tops(text: str) -> tuple[int, ...]:
    """Read `5,10,15`."""
    from vgsearch.retrieval.recall import DEPTH

    parts: Sequence[str] = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 2 <= int(part) <= DEPTH for part in parts):
        raise ConfigError([f"--top takes numbers from 2 to {DEPTH} with commas between them, got {text!r}"])
    return tuple(sorted({int(part) for part in parts}))
