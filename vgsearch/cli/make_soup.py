"""What `vgsearch soup` does once its file is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from rich.console import Console

from vgsearch.cli.named_model import STORE_FOLDER
from vgsearch.cli.soup_output import print_opening, print_report
from vgsearch.cli.soup_run import SoupRun, watching
from vgsearch.cli.soup_tests import score_on_tests
from vgsearch.cli.store import open_registry
from vgsearch.config.combination import CombinationDocument
from vgsearch.config.soup import SoupFile
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.soup import Prepared, make_soup, prepare
from vgsearch.ensembling.soup_pot import find_ingredients
from vgsearch.ensembling.stored_models import StoredModels
from vgsearch.ensembling.val_pass import Recipe, TriedSoup
from vgsearch.models.precision import pick_device
from vgsearch.registry.names import check_alias
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.training.threads import take_cpus


@dataclass(frozen=True)
class Diagnosis:
    """What the soup doctor looks at.

    Attributes:
        top_k: The best model is paired with so many of those after it.
        all_pairs: These among each other, too.
        num_points: Of each line, its ends included; 3 to 9.
    """

    top_k: int
    all_pairs: bool
    num_points: int


def run_soup(
    document: CombinationDocument[SoupFile],
    home: Path,
    console: Console,
    *,
    diagnosis: Diagnosis | None = None,
    score_tests: bool = False,
    allow_test_selection: bool = False,
) -> None:
    """Make one soup for each criterion, print how it came about and record it.

    Args:
        document: The checked file.
        home: Absolute; its store and its descriptors are used.
        console: Where the tables go.
        diagnosis: Look at pairs instead, and make nothing.
        score_tests: Whether the tests are scored too, and counted.
        allow_test_selection: Whether a criterion may read a test split.

    Raises:
        VgsearchError: One line on what cannot be done.
    """
    settings = document.settings
    registry = open_registry(home)
    shelf = find_ingredients(registry, settings)
    device = pick_device()
    split = take_cpus(device)
    threads = max(2, split.loader)
    models = StoredModels(
        DescriptorStore(home / STORE_FOLDER), shelf.eval_config, device=device, threads=threads
    )
    texts = settings.considered_criteria or [(shelf.champion or shelf.candidates[0]).spec.objective]
    criteria = [Criterion.parse(text) for text in texts]
    # All that can be refused is refused before the first soup costs anything.
    for criterion in criteria:
        criterion.check(shelf.data, allow_test_selection)
        alias = _alias(settings, criterion, several=len(criteria) > 1)
        if alias is not None:
            check_alias(alias)
    for criterion in criteria:
        with watching(console) as watch:
            run = SoupRun(document, registry, shelf, home, console, models, threads, watch)
            prepared = prepare(
                registry,
                shelf,
                settings,
                criterion,
                home=home,
                models=models,
                threads=threads,
                allow_test_selection=allow_test_selection,
                watch=watch,
            )
            print_opening(run, prepared)
            if diagnosis is not None:
                _diagnose(run, prepared, diagnosis)
                continue
            report = make_soup(
                registry,
                shelf,
                settings,
                prepared,
                home=home,
                models=models,
                spec_text=document.text or yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False),
                alias=_alias(settings, criterion, several=len(criteria) > 1),
            )
        print_report(run, report)
        if score_tests:
            score_on_tests(run, report)


def _diagnose(run: SoupRun, prepared: Prepared, diagnosis: Diagnosis) -> None:
    """The soup doctor on the same pot, with the same maker."""
    from vgsearch.cli.diagnose import diagnose_soup
    from vgsearch.ensembling.soup_setup import open_maker

    settings = run.document.settings
    # What lies between two networks is shown as it is, unless new statistics were asked for.
    how = settings.recalibrate_bn if "recalibrate_bn" in settings.model_fields_set else "off"
    settings = settings.model_copy(update={"method": "interpolate", "recalibrate_bn": how})
    pot = prepared.pot
    setup = replace(prepared.setup, watch=replace(run.watch, tried=lambda line: None))
    with open_maker(pot, settings, prepared.criterion, setup) as maker:

        def try_soup(recipe: Recipe, floor: float | None) -> TriedSoup:
            run.watch.expect(maker.images_each)
            return maker.try_soup(recipe, floor)

        diagnose_soup(
            pot.candidates,
            (),  # the others were named already
            pot.singles,
            try_soup,
            prepared.criterion,
            search=run.shelf.search,
            home=run.home,
            console=run.console,
            top_k=diagnosis.top_k,
            all_pairs=diagnosis.all_pairs,
            num_points=diagnosis.num_points,
            num_images=maker.pass_images,
            tries_both=maker.tries_both,
        )


def _alias(settings: SoupFile, criterion: Criterion, *, several: bool) -> str | None:
    """The alias; of several soups each has the criterion in it: `soup_test_night_r5`."""
    if settings.alias is None or not several:
        return settings.alias
    parts = [settings.alias, criterion.part, criterion.split, f"r{criterion.n}"]
    return re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(filter(None, parts)))
