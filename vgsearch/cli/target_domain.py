"""`vgsearch data target-domain`: unlabelled photos for `data.target_domain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DataRoot

if TYPE_CHECKING:
    from vgsearch.data.index import ImageIndex


def target_domain(
    folders: Annotated[list[Path], typer.Argument(metavar="IN...", help="Folders of photos.")],
    out: Annotated[Path, typer.Option("--out", help="The new folder.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Draw so many photos at random.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that draw.")] = 0,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="SPLIT_FOLDER", help="A test whose queries must not be among the photos."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A search space: the same for each of its tests.")
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave queries of tests out instead of refusing.")
    ] = False,
    transductive: Annotated[
        bool,
        typer.Option("--transductive", help="Take them as well; searches that use OUT are tagged so."),
    ] = False,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the photos, where no symbolic links can be made.")
    ] = False,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Gather photos of a target domain (night, say) for the domain classifier, by symbolic links.

    Photos that are queries of a test are refused, told by their content or by
    a name that holds coordinates.
    """
    from vgsearch.data.index import index_folder
    from vgsearch.data.linked_folder import refuse_existing
    from vgsearch.data.target_domain import RECORD_NAME, gather
    from vgsearch.errors import DataError

    if transductive and leave_out:
        raise DataError("--transductive takes queries of tests and --leave-out leaves them: give one of both")
    console = Console()
    refuse_existing(out)
    tests = _queries_of_tests(against or [], space, data_root.resolve())
    indexes = [index_folder(folder) for folder in folders]
    record = gather(
        indexes,
        out,
        tests,
        limit=limit,
        seed=seed,
        transductive=transductive,
        leave_out=leave_out,
        copy=copy,
    )
    lines = [f"{count:>9,} from {folder}" for folder, count in record.sources.items()]
    lines += _remarks(record.repeated, record.left_out, record.test_queries, transductive)
    how = "copied" if copy else "linked"
    lines.append(f"{record.images:,} photos {how} into {out}, with {RECORD_NAME}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _remarks(repeated: int, left_out: int, tests: Mapping[str, int], transductive: bool) -> list[str]:
    lines = [f"{repeated:>9,} left out: the same photo again"] if repeated else []
    lines += [f"{left_out:>9,} left out: queries of a test"] if left_out else []
    if not tests:
        lines.append("checked against no test (--against FOLDER, --space FILE); vgsearch tune checks its own")
    elif transductive:
        met = ", ".join(f"{count} queries of {test}" for test, count in tests.items() if count)
        lines.append(f"transductive: {met or 'no query of a test'} among the photos to draw from")
    else:
        lines.append(f"no query of {', '.join(tests)} among them")
    return lines


def _queries_of_tests(against: Sequence[Path], space: Path | None, data_root: Path) -> dict[str, ImageIndex]:
    """Queries of each test, by folder as given, or by its name in the search space."""
    from vgsearch.cli.load import load_space
    from vgsearch.config.folders import absolute_data
    from vgsearch.data.index import index_folder
    from vgsearch.data.split_parts import find_parts
    from vgsearch.errors import DataError

    splits = {str(folder): folder for folder in against}
    if space is not None:
        # The target domain that the file names may be the one that is being made.
        document = load_space(space, None, data_root, allow_missing=True)
        tests = absolute_data(document.data, data_root).tests
        if not tests:
            raise DataError(f"--space {space} names no tests: give test folders with --against")
        splits |= {name: Path(folder) for name, folder in tests.items()}
    return {name: index_folder(find_parts(folder).queries) for name, folder in splits.items()}
