"""`vgsearch data tokyo-night`: the night queries of a retrieval set, over its whole database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vgsearch.errors import DataError


def tokyo_night(
    split: Annotated[
        Path,
        typer.Argument(metavar="TOKYO_XS", help="A folder with database/ and queries/, or FOLDER#QUERIES."),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new folder, such as data/tokyo_night/test.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV that says it: columns path (or name), and night or time_of_day."),
    ] = None,
    by: Annotated[
        Literal["manifest", "note", "timestamp", "number", "brightness"] | None,
        typer.Option(help="Try this rule alone; else the first of them that tells for every query."),
    ] = None,
    utc_offset_h: Annotated[
        float | None,
        typer.Option(min=-12, max=14, help="Clock of the timestamps; default: by the longitude."),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the images, where no symbolic links can be made.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take a decision that needs a person's look.")] = False,
) -> None:
    """Make Tokyo Night of Tokyo XS: all of its database, and only the queries taken at night.

    OUT holds symbolic links and no copies.

    Which queries are night is said by a manifest, by notes or timestamps in the
    names, by Tokyo 24/7's numbers, or at last by brightness (then with --yes).
    """
    from vgsearch.data.linked_folder import refuse_existing
    from vgsearch.data.night_queries import find_night_queries
    from vgsearch.data.night_set import write_night_set
    from vgsearch.data.retrieval_set import index_parts

    if by == "manifest" and manifest is None:
        raise DataError("--by manifest needs --manifest FILE")
    if manifest is not None and by not in (None, "manifest"):
        raise DataError(f"--manifest decides, and --by {by} would not read it: leave one of them out")
    console = Console()
    refuse_existing(out)
    _, queries = index_parts(split)
    night = find_night_queries(queries, manifest=manifest, rule=by, utc_offset_h=utc_offset_h)
    for line in night.details:
        console.print(line, markup=False, highlight=False)
    number = int(night.is_night.sum())
    said = f"{number} of {len(queries)} queries are night, by {night.rule_in_words}"
    if night.doubt and not yes:
        raise DataError(
            f"{night.doubt} ({number} of {len(queries)}): look at them, then add --yes, or list the night "
            f"ones in a --manifest; nothing was written"
        )
    write_night_set(split, queries, night, out, copy=copy)
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    how = "copies" if copy else "links"
    console.print(
        f"{out}: {how} of the whole database and of these queries",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
