"""The recorded models that an ensemble may take, and whether they can be fused at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.config.ensemble import EnsembleFile
from vgsearch.config.query_method import require_one_row
from vgsearch.config.search import DataConfig, EvalConfig
from vgsearch.ensembling.candidates import (
    Candidate,
    data_here,
    gather_candidates,
    latest_search,
    open_candidate,
    same_data,
)
from vgsearch.ensembling.criterion import Criterion
from vgsearch.errors import ConfigError, DataError, RegistryError
from vgsearch.registry.names import model_name, search_of_model
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.references import FolderReference, find_version, parse_reference

EVAL_KEYS = ("resize_px", "query_method", "crop_height_px", "crop_width_px")
"""What decides how an image is brought to a model: members that differ in these were not scored alike."""


@dataclass(frozen=True, eq=False)
class EnsemblePot:
    """Candidates and what they are chosen by.

    Attributes:
        candidates: best first by their recorded results, but as the file lists them where it gives weights.
        num_left_out: models beyond `pot_size`.
        criterion: what the selection maximises.
        data: whose folders are on this machine.
        eval_config: how images are brought to all of them.
    """

    candidates: tuple[Candidate, ...]
    num_left_out: int
    criterion: Criterion
    data: DataConfig
    eval_config: EvalConfig


def gather_pot(registry: Registry, file: EnsembleFile, *, allow_test_selection: bool = False) -> EnsemblePot:
    """Open what a file asks for, and refuse what cannot be fused; no network is built.

    Raises:
        ConfigError: a criterion that the data cannot answer or that reads a test split unasked; models that
            see images at other sizes, or with several descriptors a query; `mean` over descriptors of other
            lengths.
        DataError: models of other data, or whose data is not on this machine.
        RegistryError: a search or a member is not recorded, or is an ensemble itself.
        CheckpointError: a recorded model is damaged.
    """
    candidates = _candidates(registry, file)
    eval_config = _common_eval(candidates, file)
    if file.eval is None:
        same_data(candidates)
    else:
        _same_images(candidates)
    data = data_here(candidates)
    objective = candidates[0].spec.objective
    criterion = Criterion.parse(file.criterion or objective)
    criterion.check(data, allow_test_selection)
    num_found = len(candidates)
    if file.weights is None:
        # A test's results are not recorded with a model; the pot is then cut by the search's objective.
        order = Criterion.parse(objective) if criterion.is_test else criterion
        candidates = sorted(candidates, key=lambda each: -order.percent(each.results))[: file.pot_size]
    if file.fusion == "mean":
        _one_length(candidates)
    return EnsemblePot(tuple(candidates), num_found - len(candidates), criterion, data, eval_config)


def _candidates(registry: Registry, file: EnsembleFile) -> list[Candidate]:
    """Named members first, then the searches'; each version once."""
    versions: dict[str, str] = {}
    found: list[Candidate] = []
    for reference in file.members:
        version = find_recorded(registry, reference)
        if version.reference in versions:
            raise ConfigError(
                [f"members: {reference} and {versions[version.reference]} are the same version; name it once"]
            )
        if version.kind == "ensemble":
            raise RegistryError(
                f"{reference} is an ensemble itself; name its members instead, each a single network"
            )
        versions[version.reference] = reference
        found.append(open_candidate(registry, version))
    searches = file.searches or ([] if file.members else [latest_search(registry)])
    if searches:
        gathered = gather_candidates(registry, searches)
        found += [each for each in gathered if each.reference not in versions]
    return found


def find_recorded(registry: Registry, reference: str) -> ModelVersion:
    """The recorded version that a reference means.

    Raises:
        RegistryError: it is a folder or names nothing; the message lists what there is.
    """
    parsed = parse_reference(reference)
    if isinstance(parsed, FolderReference):
        raise RegistryError(
            f"{reference} is a folder: members are recorded models, as models:/NAME@ALIAS or runs:/ID, so "
            "that the ensemble can say what it was made of"
        )
    return find_version(parsed, _Versions(registry))


class _Versions:
    """A registry as `find_version` asks it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def models(self) -> list[str]:
        return [model_name(search.name) for search in self._registry.searches()]

    def versions_of_model(self, name: str) -> list[ModelVersion]:
        return self._registry.versions(search_of_model(name)) if name in self.models() else []

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        return [
            version
            for search in self._registry.searches()
            for version in self._registry.versions(search.name)
            if version.run_id == run_id
        ]


def _common_eval(candidates: Sequence[Candidate], file: EnsembleFile) -> EvalConfig:
    """How images are brought to all members: as they were searched, or as the file says."""
    first = candidates[0]
    given = set() if file.eval is None else file.eval.model_fields_set
    eval_config = first.spec.eval if file.eval is None else file.eval.over(first.spec.eval)
    for key in EVAL_KEYS:
        for other in candidates:
            ours, theirs = getattr(first.spec.eval, key), getattr(other.spec.eval, key)
            if ours != theirs and key not in given:
                raise ConfigError(
                    [
                        f"members must be scored alike, but {first.reference} has eval.{key} {_said(ours)} "
                        f"and {other.reference} has {_said(theirs)}: write eval: {{{key}: ...}} into the "
                        "ensemble's file to say which, or leave one of their searches out"
                    ]
                )
    require_one_row(eval_config.query_method, first.reference)
    return eval_config


def _said(value: object) -> str:
    return "null" if value is None else str(value)


def _same_images(candidates: Sequence[Candidate]) -> None:
    """As `same_data`, where the file itself says how images are brought to the models."""
    first = candidates[0]

    def images(candidate: Candidate) -> dict[str, list[str]]:
        return {split: result.stamp.split("-")[:2] for split, result in candidate.results.items()}

    for other in candidates[1:]:
        if images(other) != images(first):
            raise DataError(
                f"only models of the same selection splits can be fused, but {first.reference} and "
                f"{other.reference} were scored on other images or another positive_distance_m: leave one of "
                "their searches out"
            )


def _one_length(candidates: Sequence[Candidate]) -> None:
    first = candidates[0]
    for other in candidates:
        ours, theirs = first.spec.trial.descriptor_dim, other.spec.trial.descriptor_dim
        if ours != theirs:
            raise ConfigError(
                [
                    f"fusion: mean needs descriptors of one length, but {first.reference} has {ours} and "
                    f"{other.reference} has {theirs}: use fusion: similarity, or leave one of their searches "
                    "out"
                ]
            )
