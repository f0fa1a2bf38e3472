"""How a user names a checkpoint, and the search for the recorded version that the name means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vgsearch.errors import RegistryError
from vgsearch.registry.names import CHAMPION_ALIAS, MODEL_PREFIX, check_segment
from vgsearch.registry.records import NETWORK_KINDS, ModelVersion

FORMS = "a checkpoint folder, runs:/<run id>, models:/<name>@<alias> or models:/<name>/<version>"


@dataclass(frozen=True)
class FolderReference:
    """A checkpoint folder on this machine."""

    path: Path


@dataclass(frozen=True)
class RunReference:
    """The best recorded checkpoint of one run."""

    run_id: str


@dataclass(frozen=True)
class VersionReference:
    """A registered model's version by number, or by alias (then `version` is None)."""

    name: str
    version: str | None
    alias: str | None


Reference = FolderReference | RunReference | VersionReference


class VersionSource(Protocol):
    """What `find_version` asks of a registry; lists hold complete versions only, by number."""

    def models(self) -> list[str]:
        """Names of all registered models."""

    def versions_of_model(self, name: str) -> list[ModelVersion]:
        """Versions of one registered model, with their aliases."""

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """Versions recorded from one run."""


def parse_reference(reference: str) -> Reference:
    """Read a reference; every name in it is checked to be a plain path segment.

    Raises:
        RegistryError: It has none of the known forms.
    """
    if reference.startswith("runs:/"):
        return RunReference(check_segment(reference.removeprefix("runs:/"), "a run's id"))
    if reference.startswith("models:/"):
        rest = reference.removeprefix("models:/")
        if match := re.fullmatch(r"([^/@]+)/([0-9]{1,9})", rest):
            return VersionReference(check_segment(match[1], "a model's name"), str(int(match[2])), None)
        if match := re.fullmatch(r"([^/@]+)@([^/@]+)", rest):
            alias = check_segment(match[2], "an alias")
            return VersionReference(check_segment(match[1], "a model's name"), None, alias)
    elif reference and Path(reference).is_dir():
        return FolderReference(Path(reference))
    raise RegistryError(f"a checkpoint is named by {FORMS}, but got {reference[:300]!r}")


def find_version(reference: RunReference | VersionReference, source: VersionSource) -> ModelVersion:
    """Return the recorded version that `reference` means.

    Raises:
        RegistryError: There is none; the message lists what there is instead.
    """
    if isinstance(reference, RunReference):
        versions = source.versions_of_run(reference.run_id)
        if not versions:
            raise RegistryError(f"run {reference.run_id} has no recorded checkpoint, or there is no such run")
        # Checkpoints are recorded when they become their trial's best, so the newest epoch is the best.
        return max(versions, key=lambda version: (version.epoch, int(version.version)))
    versions = source.versions_of_model(reference.name)
    for version in versions:
        if version.version == reference.version or reference.alias in version.aliases:
            return version
    if not versions:
        names = [name for name in source.models() if source.versions_of_model(name)]
        raise RegistryError(
            f"no recorded model is named {reference.name!r}; {nearest(reference.name, names)}"
        )
    wanted = f"version {reference.version}" if reference.version else f"alias {reference.alias!r}"
    aliases = {alias: version.version for version in versions for alias in version.aliases}
    there = ", ".join(f"{alias} -> {number}" for alias, number in sorted(aliases.items())) or "no alias yet"
    raise RegistryError(
        f"{reference.name} has no {wanted}; recorded versions: "
        f"{shortened(version.version for version in versions)}; aliases: {there}"
    )


def champion_of(search: str, versions: Sequence[ModelVersion]) -> ModelVersion:
    """Return the version with the alias `champion`.

    Raises:
        RegistryError: None has it yet.
    """
    for version in versions:
        if CHAMPION_ALIAS in version.aliases:
            return version
    raise RegistryError(
        f"search {search!r} has no champion yet: {len(versions)} recorded checkpoint(s), none chosen as best"
    )


def require_network(version: ModelVersion) -> ModelVersion:
    """Return `version` if it is a trial's or an import's.

    Raises:
        RegistryError: It is a combination, which cannot be champion.
    """
    if version.kind not in NETWORK_KINDS:
        raise RegistryError(
            f"{version.reference} is no trial ({version.kind}), and only a trial can be champion: give "
            "it an alias of its own"
        )
    return version


def newest_of(uid: str, versions: Sequence[ModelVersion]) -> ModelVersion:
    """Return a trial's newest version among the complete ones of its search; combinations are no trials.

    Raises:
        RegistryError: It has none.
    """
    own = [version for version in versions if version.uid == uid and version.kind == "trial"]
    if not own:
        raise RegistryError(
            f"the MLflow store has no version of the best trial, {uid}: it is another store than the one "
            "this search was recorded in; set MLFLOW_TRACKING_URI or --home to that one"
        )
    return max(own, key=lambda version: int(version.version))


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of `names` are like `name`, or which there are at all."""
    known = sorted(names)
    if not known:
        return "nothing is recorded in this store yet"
    # A user who forgets the prefix, or types the search's name, still means the model.
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [
        candidate for candidate in known if candidate == MODEL_PREFIX + name
    ]
    return f"nearest: {', '.join(close)}" if close else f"there are: {shortened(known)}"


def shortened(items: Iterable[str], limit: int = 12) -> str:
    """Join `items` by commas; beyond `limit` only their count is said."""
    listed = list(items)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
