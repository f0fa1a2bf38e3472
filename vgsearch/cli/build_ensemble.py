"""What `vgsearch ensemble` does once its file is read: gather, choose, print, record."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from vgsearch.cli.pot_describer import PotDescriber
from vgsearch.cli.present_ensemble import costs_of, print_choice
from vgsearch.cli.store import open_registry
from vgsearch.config.combination import CombinationDocument
from vgsearch.config.ensemble import EnsembleFile
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.criterion import TEST_PREFIX
from vgsearch.ensembling.ensemble_choice import EnsembleChoice, choose_ensemble
from vgsearch.ensembling.ensemble_pot import EnsemblePot, gather_pot
from vgsearch.ensembling.recording import Ingredient, combination_uid, record_combination
from vgsearch.errors import StorageError
from vgsearch.models.ensemble import EnsembleMember, save_ensemble
from vgsearch.models.precision import pick_device, resolve_scoring_precision
from vgsearch.registry.names import check_alias
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.scored_tests import model_key
from vgsearch.reporting.looks import looks_in_words
from vgsearch.training.data_cache import load_split, load_val_sets
from vgsearch.training.threads import take_cpus
from vgsearch.training.val_scores import recall_metrics, result_files


def build_ensemble(
    document: CombinationDocument[EnsembleFile],
    home: Path,
    console: Console,
    *,
    allow_test_selection: bool = False,
) -> ModelVersion:
    """Select, score, print and record one ensemble.

    Args:
        document: the checked file.
        home: absolute; its store and its descriptors are used.
        console: where the tables go.
        allow_test_selection: whether the criterion may read a test split.

    Raises:
        VgsearchError: one line on what cannot be done.
    """
    file = document.settings
    if file.alias is not None:
        check_alias(file.alias)  # before the work, not after it
    registry = open_registry(home)
    pot = gather_pot(registry, file, allow_test_selection=allow_test_selection)
    _say(console, _opening(pot, file))
    device = pick_device()
    take_cpus(device)
    sets = load_val_sets(pot.data)
    if pot.criterion.is_test:
        name = pot.criterion.split
        folder, distance_m = pot.data.tests[name], pot.data.positive_distance_m
        sets = {**sets, TEST_PREFIX + name: load_split(folder, distance_m, name)}
    precision = resolve_scoring_precision(pot.candidates[0].spec.trial.precision, device)
    with PotDescriber(pot.eval_config, precision, home=home, device=device, console=console) as describer:
        choice = choose_ensemble(pot, file, sets, describer, device=device)
    looks = _count_looks(registry, choice, pot)
    print_choice(choice, pot, file, console, num_extracted=describer.num_extracted)
    version = _record(registry, choice, pot, file, home)
    _say(console, "\n".join([*_closing(version, pot), *looks]))
    return version


def _opening(pot: EnsemblePot, file: EnsembleFile) -> str:
    searches = sorted({candidate.version.search for candidate in pot.candidates})
    left_out = f" ({pot.num_left_out} worse ones are left out, pot_size)" if pot.num_left_out else ""
    return (
        f"{len(pot.candidates)} recorded models of {', '.join(searches)}{left_out}; fusion {file.fusion}, "
        f"selection {file.selection.name}, by {pot.criterion}"
    )


def _closing(version: ModelVersion, pot: EnsemblePot) -> list[str]:
    named = [alias for alias in version.aliases if alias != "champion"]
    reference = f"models:/{version.name}@{named[0]}" if named else version.reference
    lines = [f"recorded as {version.reference}" + (f", {reference}" if named else "")]
    if version.selected_on_test:
        lines.append("a test split had a say in it: tagged vgsearch.selected_on_test for ever")
    example = next(iter(pot.data.tests), "SPLIT")
    lines.append(f"score it elsewhere: vgsearch evaluate {reference} --on {example}")
    return lines


def _count_looks(registry: Registry, choice: EnsembleChoice, pot: EnsemblePot) -> list[str]:
    """Count what a selection on a test has scored, before it is shown, and say how often that was so far.

    Every model of the pot was scored, and the ensemble; the combinations between are not counted one by one.
    """
    if not pot.criterion.is_test:
        return []
    test = pot.criterion.split
    search = pot.candidates[choice.members[0]].version.search
    stamp = choice.after[TEST_PREFIX + test].stamp
    for candidate in pot.candidates:
        key = model_key(candidate.version.weights_sha256, candidate.architecture)
        registry.count_test_scoring(search, test, reference=candidate.reference, stamp=stamp, model=key)
    members = ", ".join(pot.candidates[member].reference for member in choice.members)
    looks = registry.count_test_scoring(search, test, reference=f"ensemble of {members}", stamp=stamp)
    return [f"test/{test}: {looks_in_words(looks)}; here by each of the pot and by the ensemble"]


def _record(
    registry: Registry, choice: EnsembleChoice, pot: EnsemblePot, file: EnsembleFile, home: Path
) -> ModelVersion:
    members = [pot.candidates[member] for member in choice.members]
    settings = {
        **file.model_dump(mode="json", exclude={"alias", "eval"}),
        "criterion": str(pot.criterion),
        "eval": pot.eval_config.model_dump(mode="json", exclude={"batch_size"}),
    }
    uid = combination_uid(
        "ensemble",
        {
            "settings": settings,
            "members": [each.version.weights_sha256 for each in members],
            "weights": list(choice.weights),
        },
    )
    val = {name: result for name, result in choice.after.items() if not name.startswith(TEST_PREFIX)}
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ensemble-", dir=home) as scratch:
            folder = save_ensemble(
                Path(scratch) / uid,
                _ensemble_members(members),
                fusion=file.fusion,
                weights=choice.weights,
                metrics={"epoch": 1, **recall_metrics(val), **costs_of(choice, pot, file)},
                eval_config=pot.eval_config,
                precision=pot.candidates[0].spec.trial.precision,
                extra_files=result_files(val),
            )
            return record_combination(
                registry,
                kind="ensemble",
                search=members[0].version.search,
                uid=uid,
                folder=folder,
                ingredients=[
                    Ingredient(each.version, weight)
                    for each, weight in zip(members, choice.weights, strict=True)
                ],
                params=settings,
                spec_text=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
                alias=file.alias,
                criterion=pot.criterion,
            )
    except OSError as error:
        raise StorageError(f"cannot write {home}: {error.strerror or error}") from error


def _ensemble_members(members: Sequence[Candidate]) -> list[EnsembleMember]:
    return [
        EnsembleMember(each.folder, each.reference, each.version.uid, each.version.epoch) for each in members
    ]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
