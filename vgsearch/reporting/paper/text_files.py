"""The report as Markdown for people and as CSV for programs, with whole intervals and query counts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vgsearch.reporting.paper.filled import FilledRow, FilledTable
from vgsearch.reporting.paper.notes import annotate, apart_lines, opening_lines, ours_name, suffix
from vgsearch.reporting.paper.printed import DATA_SETS, printed_recall
from vgsearch.reporting.paper.render import our_cell, our_seconds, paper_cell
from vgsearch.reporting.paper.unplaced import REMARK, TITLE, UnplacedScore
from vgsearch.reporting.wording import bracket
from vgsearch.retrieval.recall import RECALL_NS, Recall

OPENING = (
    "The paper's tables beside our recorded runs. Recalls in percent with 95% Wilson intervals over the "
    "queries named above each table, ours over the same number unless its note says otherwise. The paper's "
    "hits are its rounded recalls times its queries."
)

_COLUMNS = (
    *("table", "row", "labels", "data_set", "n"),
    *("paper", "paper_low", "paper_high", "paper_queries"),
    *("ours", "ours_low", "ours_high", "ours_queries"),
    *("paper_extraction_s", "ours_extraction_s"),
    *("state", "is_target", "why_no_target"),
    *("model", "matching", "selected_on_test", "differences", "commands"),
)


def to_markdown(
    tables: Sequence[FilledTable], unplaced: Sequence[UnplacedScore], remarks: Sequence[str] = ()
) -> str:
    """One section for each table: the paper's layout, ours below each of its rows, and the notes."""
    parts = [OPENING, *[_markdown_table(table) for table in tables]]
    if unplaced:
        parts.append(_markdown_unplaced(unplaced))
    return "\n\n".join([*parts, *remarks]) + "\n"


def to_csv(tables: Sequence[FilledTable], unplaced: Sequence[UnplacedScore]) -> str:
    """One line for each recall of the paper, with ours beside it; at the end ours without a row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for number, row in enumerate(table.rows, start=1):
            writer.writerows(_csv_rows(table.printed.number, number, row))
    for each in unplaced:
        writer.writerows(_csv_unplaced(each))
    return out.getvalue()


def _markdown_table(table: FilledTable) -> str:
    printed, notes = table.printed, annotate(table)
    heads = list(printed.label_names)
    for split in printed.splits:
        if printed.rows[0].seconds:
            heads.append(f"{DATA_SETS[split]} time, s")
        heads += [f"{DATA_SETS[split]} R@{n}" for n in printed.ns(split)]
    lines = [
        _line(heads),
        _line(["---"] * len(printed.label_names) + ["---:"] * (len(heads) - len(printed.label_names))),
    ]
    for row, marks in zip(table.rows, notes.rows, strict=True):
        first, *others = row.printed.labels.values()
        cells = [first + suffix(marks.paper), *others]
        ours = [ours_name(row, marks.ours), *[""] * len(others)]
        for split in printed.splits:
            if row.printed.seconds:
                cells.append(row.printed.seconds[split])
                ours.append(our_seconds(row, split))
            cells += [paper_cell(row, (split, n), bracket) for n in printed.ns(split)]
            ours += [our_cell(row, (split, n), bracket) for n in printed.ns(split)]
        lines += [_line(cells), *([_line(ours)] if marks.ours else [])]
    below = [
        f"- ({note.mark}) {_plain(note.text)}{''.join(f' `{each}`' for each in note.commands)}"
        for note in notes.notes
    ]
    parts = [
        f"## Table {printed.number} (section {printed.section}): {printed.caption}",
        "; ".join(opening_lines(table, notes)),
        "\n".join(lines),
        "\n".join(below),
        "\n".join(apart_lines(table)),
    ]
    return "\n\n".join(part for part in parts if part)


def _markdown_unplaced(scores: Sequence[UnplacedScore]) -> str:
    heads = ["model", "kind", "data set", "scored", "queries", *(f"R@{n}" for n in RECALL_NS)]
    lines = [_line(heads), _line(["---"] * 4 + ["---:"] * (1 + len(RECALL_NS)))]
    for each in scores:
        names = [each.model, each.kind, DATA_SETS[each.test.split], each.scored_as]
        result = each.test.result
        lines.append(_line([*names, str(result.num_queries), *map(str, result.recalls())]))
    return "\n\n".join((f"## {TITLE}", "\n".join(lines), _plain(REMARK)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.replace("*", chr(92) + "*").replace("_", chr(92) + "_")


def _csv_rows(table: int, number: int, row: FilledRow) -> list[dict[str, object]]:
    match = row.match
    shared = {
        "table": table,
        "row": number,
        "labels": "; ".join(f"{name}: {value}" for name, value in row.printed.labels.items()),
        "state": row.state,
        "is_target": "no" if row.asked.no_target else "yes",
        "why_no_target": row.asked.no_target,
        "model": "" if match is None else match.run.reference,
        "matching": 0 if match is None else match.num_matching,
        "selected_on_test": "" if match is None else "yes" if match.run.selected_on_test else "no",
        "differences": ", ".join(row.differences),
        "commands": " && ".join(row.commands),
    }
    return [
        {
            **shared,
            "data_set": DATA_SETS[split],
            "n": n,
            **_interval("paper", printed_recall(split, n, percent)),
            "paper": percent,
            **_interval("ours", row.ours.get((split, n))),
            "paper_extraction_s": row.printed.seconds.get(split, ""),
            "ours_extraction_s": "" if split not in row.seconds else f"{row.seconds[split]:.2f}",
        }
        for (split, n), percent in row.printed.percents.items()
    ]


def _csv_unplaced(each: UnplacedScore) -> list[dict[str, object]]:
    shared = {
        "labels": f"{each.kind}; {each.scored_as}",
        "data_set": DATA_SETS[each.test.split],
        "state": "ours",
        "model": each.run.reference,
        "selected_on_test": "yes" if each.run.selected_on_test else "no",
    }
    return [{**shared, "n": recall.n, **_interval("ours", recall)} for recall in each.test.result.recalls()]


def _interval(side: str, recall: Recall | None) -> dict[str, object]:
    if recall is None:
        return {}
    low, high = recall.interval
    return {
        side: f"{recall.percent:.1f}",
        f"{side}_low": f"{100 * low:.1f}",
        f"{side}_high": f"{100 * high:.1f}",
        f"{side}_queries": recall.num_queries,
    }
