"""What `vgsearch soup` prints: the pot, what was tried, what came of it and what it cost."""

from __future__ import annotations

from dataclasses import fields

from vgsearch.cli.soup_run import SoupRun
from vgsearch.ensembling.soup import Prepared
from vgsearch.ensembling.soup_report import SoupCost, SoupReport
from vgsearch.reporting.before_after import render_before_after
from vgsearch.reporting.soup import (
    SoupRow,
    render_trajectory,
    single_ingredient_lines,
)
from vgsearch.retrieval.compare import compare_splits
from vgsearch.retrieval.recall import RECALL_NS


def print_opening(run: SoupRun, prepared: Prepared) -> None:
    """Say what is in the pot, and what is not."""
    settings, pot, shelf = run.document.settings, prepared.pot, run.shelf
    words = pot.candidates[0].architecture_in_words
    count = f"{len(pot.candidates)} {'checkpoint' if len(pot.candidates) == 1 else 'checkpoints'}"
    run.say(f"{settings.method} soup of search {shelf.search} by {prepared.criterion}: {count} of {words}")
    if pot.num_beyond:
        run.say(f"left out: {pot.num_beyond} with a lower criterion")
    by_words: dict[str, list[str]] = {}
    for other in shelf.others:
        by_words.setdefault(other.architecture_in_words, []).append(other.reference)
    for other_words, references in by_words.items():
        run.say(
            f"left out: {len(references)} of another architecture, {other_words} "
            f"(--architecture-of {references[0]} takes them)"
        )


def print_report(run: SoupRun, report: SoupReport) -> None:
    """Print how a soup came about, what it is worth on the selection splits, and its name."""
    settings, console = run.document.settings, run.console
    rows = [
        SoupRow(**{field.name: getattr(step, field.name) for field in fields(SoupRow)})
        for step in report.steps
    ]
    criterion = report.criterion
    own = criterion.splits(run.shelf.data)
    num_queries = sum(result.num_queries for split, result in report.before.items() if split in own)
    console.print()
    console.print(
        render_trajectory(rows, criterion=str(criterion), num_queries=num_queries, method=settings.method)
    )
    best = report.pot.best.reference
    if len(report.recipe) == 1:
        command = f"vgsearch soup --diagnose --search {run.shelf.search}"
        for line in single_ingredient_lines(rows, diagnose=command):
            run.say(line)
    else:
        console.print()
        named = {
            split or "val": each
            for split, each in compare_splits(report.before, report.after, RECALL_NS).items()
        }
        console.print(render_before_after(named, best=best, role="best ingredient", made="soup"))
        run.say(f"A split that chose this soup flatters it, a held-out one does not{_tests_hint(run)}.")
    if report.cost is None:
        run.say("This soup was recorded before: nothing was computed again.")
    else:
        run.say(_cost(report.cost))
    version = report.version
    names = [f"models:/{version.name}@{alias}" for alias in version.aliases]
    run.say(f"recorded as {', '.join([version.reference, *names])} ({_recipe(report)})")
    if version.selected_on_test:
        run.say("A test split had a say in choosing it: it is tagged vgsearch.selected_on_test.")


def _recipe(report: SoupReport) -> str:
    """`versions 3 x 0.50, 5 x 0.50; BatchNorm statistics averaged`."""
    parts = ", ".join(f"{reference.rpartition('/')[2]} x {share:.3g}" for reference, share in report.recipe)
    if len(report.recipe) == 1:
        return f"version {report.recipe[0][0].rpartition('/')[2]} alone"
    how = "taken again" if report.is_recalibrated else "averaged"
    return f"versions {parts}; BatchNorm statistics {how}"


def _tests_hint(run: SoupRun) -> str:
    return ": --score-tests, or vgsearch evaluate" if run.shelf.data.tests else ": vgsearch evaluate"


def _cost(cost: SoupCost) -> str:
    if cost.num_passes == 0:
        return "No image was described: a single model is known already."
    whole = cost.num_passes * cost.pass_images
    text = (
        f"Cost: {cost.num_passes} passes over val, {cost.described:,} of {whole:,} images described "
        f"({cost.decoded:,} decoded)"
    )
    if cost.num_calibrations:
        images = f"{cost.calibration_images} training images"
        text += f", {cost.num_calibrations} passes over {images} for BatchNorm"
    return f"{text}; {cost.described_stored:,} images described for the descriptor store."
