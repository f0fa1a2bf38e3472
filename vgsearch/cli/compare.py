"""`vgsearch compare`: is one model better than another, or was it luck?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import (
    DEFAULT_DATA_ROOT,
    DEFAULT_HOME,
    MODEL_HELP,
    BatchSize,
    DataRoot,
    Home,
    ScoredQueryMethod,
    UseStore,
)

if TYPE_CHECKING:
    from vgsearch.cli.compared_model import ComparedModel, Found
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.reporting.comparison import SplitComparison

_SELECTION = "A model that was chosen by a selection split looks better there than on new photos."


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=MODEL_HELP)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one; differences are B minus A.")],
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT",
            help="A split of A's own file (val, a test's name, ...) or a folder with database/ and queries/. "
            "May be given several times; default: all selection splits of A.",
        ),
    ] = None,
    n: Annotated[
        str, typer.Option("--n", metavar="N,N,...", help="At which recalls, e.g. 1,5,10 (up to 20).")
    ] = "1",
    changed: Annotated[
        Path | None,
        typer.Option(
            "--changed", metavar="FILE.csv", help="Write every query that changed, with both ranks, here."
        ),
    ] = None,
    show: Annotated[
        int, typer.Option(min=0, help="Gained and lost queries to name, each, for every recall.")
    ] = 3,
    resize_px: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at scoring, for both; default as in each.")
    ] = None,
    batch_size: BatchSize = None,
    query_method: ScoredQueryMethod = None,
    positive_distance_m: Annotated[
        float | None,
        typer.Option(min=0.01, help="A database image this near is right; default as A trained."),
    ] = None,
    use_store: UseStore = True,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Compare two models on the same queries: recalls, how sure their difference is, and what changed.

    Results that are recorded with a model are used where images and settings are still the same; else it is
    scored, and what it makes of the images is kept (see vgsearch descriptors).
    """
    from vgsearch.cli.checkpoints import find_split
    from vgsearch.cli.compared_model import ComparedModel
    from vgsearch.cli.files import write_files
    from vgsearch.cli.named_model import STORE_FOLDER, named_model
    from vgsearch.data.retrieval_set import load_retrieval_set
    from vgsearch.errors import ConfigError
    from vgsearch.models.ensemble import describe_model
    from vgsearch.reporting.comparison import LEGEND, listed_changes, render_comparison
    from vgsearch.reporting.comparison_changes import changes_csv
    from vgsearch.reporting.comparison_looks import looks_remark
    from vgsearch.retrieval.descriptor_store import DescriptorStore

    console = Console()
    home = home.resolve()
    ns = _recalls_at(n)
    first, second = (
        named_model(name, home, resize_px=resize_px, batch_size=batch_size, query_method=query_method)
        for name in (a, b)
    )
    splits = on or [f"val/{name}" if name else "val" for name in first.spec.data.val_splits]
    if not splits:
        raise ConfigError([f"{first.reference} was imported without data: say on what with --on"])
    found = dict(find_split(split, first.spec.data, data_root.resolve()) for split in splits)
    distance_m = positive_distance_m or first.spec.data.positive_distance_m
    sets = [load_retrieval_set(path, distance_m, name=name) for name, path in found.items()]
    store = DescriptorStore(home / STORE_FOLDER) if use_store else None
    sides = ComparedModel(first, home, store, console), ComparedModel(second, home, store, console)
    _require_same_question(sides, sets)
    for side in sides:
        side.seal.check(sets)
    compared = [_compare(sides, each, ns, show) for each in sets]

    for letter, model in (("A", first), ("B", second)):
        _say(console, f"{letter}  {model.reference} ({describe_model(model.folder)})")
    if _are_one(sides):
        _say(console, "A and B are one model: no query can change.")
    for split in compared:
        console.print()
        console.print(render_comparison(split))
        for line in listed_changes(split):
            _say(console, line)
    console.print(f"\n{LEGEND}", markup=False, highlight=False)
    remark = looks_remark(
        [(f"{each.name} R@{pair.first.n}", pair) for each in compared for pair in each.pairs]
    )
    if any(name == "val" or name.startswith("val/") for name in found):
        # Whoever compares the champion on val asks the judge who chose it.
        console.print(_SELECTION, markup=False, highlight=False)
    if remark is not None:
        console.print(remark, markup=False, highlight=False)
    if changed is not None:
        changes = [change for split in compared for change in split.changes]
        write_files(changed.absolute().parent, {changed.name: changes_csv(changes)})
        _say(console, f"{len(changes)} changed queries: {changed}")


def _recalls_at(text: str) -> list[int]:
    """Read `1,5,10`.

    Raises:
        ConfigError: it is something else.
    """
    from vgsearch.errors import ConfigError
    from vgsearch.retrieval.recall import DEPTH

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= DEPTH for part in parts):
        raise ConfigError([f"--n takes numbers from 1 to {DEPTH} with commas between them, got {text!r}"])
    return sorted({int(part) for part in parts})


def _are_one(sides: tuple[ComparedModel, ComparedModel]) -> bool:
    first, second = (side.model for side in sides)
    return first.identity == second.identity and first.precision == second.precision


def _require_same_question(sides: tuple[ComparedModel, ComparedModel], sets: list[RetrievalSet]) -> None:
    """Refuse two models that are scored in different ways, before either is scored.

    Raises:
        DataError: their stamps differ.
    """
    from vgsearch.errors import DataError
    from vgsearch.retrieval.scoring import stamp_of

    for retrieval_set in sets:
        stamps = [stamp_of(retrieval_set, side.model.eval_config) for side in sides]
        if stamps[0] != stamps[1]:
            raise DataError(
                "only results on the same queries, scored alike, can be compared, but on "
                f"{retrieval_set.name} A is scored as {stamps[0]} and B as {stamps[1]} (images, threshold, "
                "query method, resize): --resize-px and --query-method set one for both"
            )


def _compare(
    sides: tuple[ComparedModel, ComparedModel], retrieval_set: RetrievalSet, ns: list[int], show: int
) -> SplitComparison:
    """Score and compare on one split; a scoring of a test is counted here, before anything is shown."""
    from vgsearch.reporting.comparison import SplitComparison
    from vgsearch.reporting.comparison_changes import find_changes
    from vgsearch.retrieval.compare import compare_results

    first = sides[0].find(retrieval_set)
    second = first if _are_one(sides) else sides[1].find(retrieval_set)
    facts = [
        f"database {len(retrieval_set.database)}",
        f"positives within {retrieval_set.positive_distance_m:g} m",
        f"A {first.source}, B {second.source}",
        *_counted(sides, retrieval_set, (first, second)),
    ]
    lost = first.result.num_without_positive
    facts += [f"{lost} queries have no positive and count as failures"] if lost else []
    return SplitComparison(
        name=retrieval_set.name,
        pairs=[compare_results(first.result, second.result, each) for each in ns],
        facts=facts,
        changes=[
            change
            for each in ns
            for change in find_changes(
                retrieval_set.name, first.result, second.result, each, retrieval_set.queries.paths
            )
        ],
        listed=show,
    )


def _counted(
    sides: tuple[ComparedModel, ComparedModel], retrieval_set: RetrievalSet, found: tuple[Found, Found]
) -> list[str]:
    """Count new scorings of a test; how often it was scored so far, in each search that has it.

    A model whose own file lacks the test is counted where the other's has it.
    """
    words: dict[str, str] = {}
    for i, side in enumerate(sides):
        owner = next((each.seal for each in (side, sides[1 - i]) if each.seal.test_of(retrieval_set)), None)
        test = None if owner is None else owner.test_of(retrieval_set)
        if owner is None or test is None:
            continue
        is_repeat = i == 1 and found[1] is found[0]
        if found[i].is_new and not is_repeat:
            words[owner.search] = owner.count(test, found[i].result.stamp, scored=side.model)
        else:
            words.setdefault(owner.search, owner.so_far(test))
    if len(words) < 2:
        return list(words.values())
    return [f"in search {search} {text}" for search, text in words.items()]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
