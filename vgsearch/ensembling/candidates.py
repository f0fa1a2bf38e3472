"""What can be combined: recorded checkpoints on this machine, checked, with their recorded results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.split_folder import folder_on_disk
from vgsearch.errors import CheckpointError, DataError, RegistryError, first_line
from vgsearch.models.checkpoint import MODEL_FILE, read_spec
from vgsearch.models.ensemble import describe_model, model_identity
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import NETWORK_KINDS, ModelVersion, VersionKind
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.val_scores import stored_results

# Every tuned search has it, and no run of `vgsearch train`.
OBJECTIVE_TAG = "vgsearch.objective"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One recorded model that may become part of a combination.

    Attributes:
        version: What the registry knows of it.
        folder: Its files on this machine, whole; not to be written to.
        spec: The trial that it comes from.
        architecture: Hash; weights of equal ones can be averaged.
        architecture_in_words: Such as `resnet18.tv_in1k + gem + 512`.
        results: Recorded per-query results of the selection splits by name, "" for the unnamed one.
    """

    version: ModelVersion
    folder: Path
    spec: TrialSpec
    architecture: str
    architecture_in_words: str
    results: Mapping[str, RetrievalResult]

    @property
    def reference(self) -> str:
        """What to hand to `evaluate`: `models:/vgsearch-grl/3`."""
        return self.version.reference


def latest_search(registry: Registry) -> str:
    """Name of the search that was begun last among those that have a recorded trial.

    Single trainings (`vgsearch train`) count only where nothing else is recorded.

    Raises:
        RegistryError: No search has any.
    """
    searches = sorted(registry.searches(), key=lambda search: search.started_at, reverse=True)
    for search in sorted(searches, key=lambda search: OBJECTIVE_TAG not in search.tags):
        if any(version.kind == "trial" for version in registry.versions(search.name)):
            return search.name
    raise RegistryError(
        "this store has no search with a recorded checkpoint yet: run `vgsearch tune` first, or name another "
        "store with --home"
    )


def gather_candidates(
    registry: Registry, searches: Sequence[str], *, kinds: Sequence[VersionKind] = NETWORK_KINDS
) -> list[Candidate]:
    """Open the newest complete version of each trial or import; no network is built, nothing is scored.

    Where the store is on this machine the files are opened in place, else they are downloaded once. Their
    weights are read once, to check that they are those that were recorded. An import without recalls on val
    is left out where there is anything else.

    Args:
        registry: Where they are recorded.
        searches: Names; one that is named twice counts once.
        kinds: Which versions: trials, imported networks, earlier soups, earlier ensembles.

    Returns:
        By search in the given order, then by version number; at least one.

    Raises:
        RegistryError: An unknown search, or nothing of these kinds is recorded.
        CheckpointError: A version's files are damaged, or lack results of the selection splits.
    """
    found: list[Candidate] = []
    unscored: list[ModelVersion] = []
    for search in dict.fromkeys(searches):
        newest: dict[str, ModelVersion] = {}
        for version in registry.versions(search):
            if version.kind in kinds:
                newest[version.uid] = version  # they come by number
        ordered = sorted(newest.values(), key=lambda version: int(version.version))
        unscored += [version for version in ordered if version.is_unscored_import]
        found.extend(open_candidate(registry, each) for each in ordered if not each.is_unscored_import)
    if not found and unscored:
        found.append(open_candidate(registry, unscored[0]))  # says what is missing
    if not found:
        named = ", ".join(searches) or "no search"
        wanted = " or ".join("imported network" if kind == "imported" else kind for kind in kinds)
        raise RegistryError(f"no {wanted} is recorded in {named}: let one end first")
    return found


def open_candidate(registry: Registry, version: ModelVersion) -> Candidate:
    """Bring one version to this machine and read all but its weights.

    Raises:
        RegistryError: It is not in the store.
        CheckpointError: Its files are damaged, or lack results of the selection splits.
    """
    folder = registry.download(version.reference)
    spec = read_spec(folder)
    results = stored_results(folder)
    if not spec.data.val_splits:
        raise CheckpointError(
            f"{version.reference} was imported without data, so nothing says what it is worth on val: import "
            "it once more with --data-of, naming a search or its file"
        )
    missing = [split or "val" for split in spec.data.val_splits if split not in results]
    if missing:
        raise CheckpointError(
            f"{version.reference} holds no per-query results of {', '.join(missing)}, without which nothing "
            "can be chosen: leave its search out, or train it again"
        )
    metadata = _metadata(folder / MODEL_FILE)
    return Candidate(
        version=version,
        folder=folder,
        spec=spec,
        architecture=metadata.get("architecture") or model_identity(folder).architecture,
        architecture_in_words=metadata.get("architecture_in_words") or describe_model(folder),
        results=results,
    )


def same_architecture(
    candidates: Sequence[Candidate], champion: Candidate | ModelVersion
) -> tuple[list[Candidate], list[Candidate]]:
    """Part candidates by whether their weights can be averaged with the champion's; order is kept.

    Args:
        candidates: Of any architecture.
        champion: One of them, or the version of one of them.

    Returns:
        (those of the champion's architecture, the others).

    Raises:
        RegistryError: The champion is not among the candidates.
    """
    if isinstance(champion, ModelVersion):
        champion = find_candidate(candidates, champion)
    architecture = champion.architecture
    kept = [candidate for candidate in candidates if candidate.architecture == architecture]
    return kept, [candidate for candidate in candidates if candidate.architecture != architecture]


def find_candidate(candidates: Sequence[Candidate], version: ModelVersion) -> Candidate:
    """The candidate of a version.

    Raises:
        RegistryError: There is none.
    """
    for candidate in candidates:
        if candidate.reference == version.reference:
            return candidate
    there = ", ".join(candidate.reference for candidate in candidates)
    raise RegistryError(f"{version.reference} is not among what is to be combined: {there}")


def same_data(candidates: Sequence[Candidate]) -> None:
    """Refuse candidates whose recorded results cannot be compared.

    Same data means: selection splits of the same names, and for each the same stamp (images, threshold, query
    method, resize). Where the folders lie does not matter, so two machines may have trained them.

    Raises:
        DataError: Two differ; one line that names both and what differs.
    """
    for candidate in candidates[1:]:
        first = candidates[0]
        ours, theirs = _stamps(first), _stamps(candidate)
        if ours.keys() != theirs.keys():
            raise DataError(
                f"only models with the same selection splits can be combined, but {first.reference} has "
                f"{_named(ours)} and {candidate.reference} has {_named(theirs)}: leave one of the two out"
            )
        for split, stamp in ours.items():
            if theirs[split] != stamp:
                raise DataError(
                    "only models that were scored on the same queries in the same way can be combined, but "
                    f"on {split or 'val'} {first.reference} has the stamp {stamp} and {candidate.reference} "
                    f"has {theirs[split]} (images, threshold, query method, resize): leave one of the two out"
                )


def data_here(candidates: Sequence[Candidate]) -> DataConfig:
    """The data section whose selection folders are on this machine, the first of them.

    Raises:
        DataError: None has its folders here.
    """
    for candidate in candidates:
        data = candidate.spec.data
        if all(Path(folder_on_disk(folder)).is_dir() for folder in data.val_splits.values()):
            return data
    folders = ", ".join(candidates[0].spec.data.val_splits.values())
    raise DataError(
        f"the selection splits are not on this machine ({folders}): put them there, or combine where the "
        "search ran"
    )


def _stamps(candidate: Candidate) -> dict[str, str]:
    return {split: result.stamp for split, result in candidate.results.items()}


def _named(splits: Mapping[str, str]) -> str:
    return ", ".join(split or "val" for split in splits)


def _metadata(path: Path) -> dict[str, str]:
    """The metadata in a safetensors header, without reading any tensor."""
    try:
        with safe_open(path, framework="pt", device="cpu") as stored:
            return dict(stored.metadata() or {})
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged ({first_line(error)}); use another checkpoint") from error
