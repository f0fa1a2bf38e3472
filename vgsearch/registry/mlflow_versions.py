"""Recorded checkpoints in MLflow's model registry: written so that a kill leaves nothing half-offered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgsearch.errors import CheckpointError, RegistryError
from vgsearch.registry.checkpoint_files import check_recorded, place_folder
from vgsearch.registry.mlflow_import import file_transfer
from vgsearch.registry.mlflow_store import MlflowStore, local_part, pages
from vgsearch.registry.names import (
    COMPLETE_TAG,
    EPOCH_TAG,
    FOLDER_TAG,
    MODEL_PREFIX,
    SEARCH_TAG,
    UID_TAG,
    WEIGHTS_TAG,
    check_key,
    check_segment,
    search_of_model,
)
from vgsearch.registry.records import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHECKPOINT_FOLDER = "checkpoint"
DOWNLOADS_FOLDER = "downloads"
REQUIRED_TAGS = (UID_TAG, EPOCH_TAG, WEIGHTS_TAG, FOLDER_TAG, COMPLETE_TAG)


class MlflowVersions:
    """Recorded checkpoints as `find_version` wants them; complete ones only."""

    def __init__(self, client: MlflowClient) -> None:
        """Read through `client`; the caller turns its errors into ours."""
        self._client = client

    def models(self) -> list[str]:
        """Names of the registered models of all searches."""
        found = pages(
            lambda token: self._client.search_registered_models(
                f"name LIKE '{MODEL_PREFIX}%'", page_token=token
            )
        )
        return [model.name for model in found]

    def versions_of_model(self, name: str) -> list[ModelVersion]:
        """Versions of one registered model by number, with aliases; empty for an unknown model."""
        return self._complete(f"name = '{check_segment(name, 'a model name')}'")

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """Versions recorded from one run, by number."""
        return self._complete(f"run_id = '{check_segment(run_id, 'a run id')}'")

    def _complete(self, query: str) -> list[ModelVersion]:
        found = [version for version in search_versions(self._client, query) if is_complete(version)]
        names = {version.name for version in found}
        # A search gives no aliases, so they are read from the registered models.
        aliases = {name: dict(self._client.get_registered_model(name).aliases) for name in names}
        return [version_record(version, aliases[version.name]) for version in found]


def search_versions(client: MlflowClient, query: str) -> list[Any]:
    """Return MLflow's model versions that match `query`, by number, incomplete ones too."""
    found = pages(lambda token: client.search_model_versions(query, page_token=token))
    return sorted(found, key=lambda version: int(version.version))


def is_complete(version: Any) -> bool:
    """Whether a model version was written to its end, by us."""
    tags = version.tags
    return (
        version.name.startswith(MODEL_PREFIX)
        and all(tags.get(name) for name in REQUIRED_TAGS)
        and tags[EPOCH_TAG].isdecimal()
        and tags[COMPLETE_TAG] == tags[WEIGHTS_TAG]
    )


def version_record(version: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    """Read MLflow's model version as a record; `aliases` are those of its model, alias to number."""
    number = str(version.version)
    return ModelVersion(
        search=search_of_model(version.name),
        name=version.name,
        version=number,
        uid=version.tags[UID_TAG],
        run_id=version.run_id,
        epoch=int(version.tags[EPOCH_TAG]),
        weights_sha256=version.tags[WEIGHTS_TAG],
        tags=dict(version.tags),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if str(of) == number)),
    )


def write_version(
    client: MlflowClient,
    name: str,
    run_id: str,
    files: list[Path],
    identity: Mapping[str, str],
    tags: Mapping[str, str],
) -> Any:
    """Upload `files`, register a version and mark it complete, or finish what an earlier call began.

    The order makes a kill harmless: files, then the version with all its tags, then the completion
    tag. A version without that tag is offered to nobody, and the next call completes it.

    Args:
        client: An open client.
        name: The registered model.
        run_id: The trial's run.
        files: What to upload.
        identity: `vgsearch.uid`, `vgsearch.epoch` and `vgsearch.weights_sha256`.
        tags: More tags of the version.

    Returns:
        MLflow's model version, complete.
    """
    from mlflow.exceptions import MlflowException

    ours = search_versions(client, f"name = '{name}' and run_id = '{run_id}'")
    same = [version for version in ours if identity.items() <= version.tags.items()]
    done = [version for version in same if is_complete(version)]
    if done:
        return done[0]
    folder = same[0].tags.get(FOLDER_TAG) if same else None
    if not folder:
        folder = f"{CHECKPOINT_FOLDER}/epoch_{int(identity[EPOCH_TAG]):04d}"
        if any(version.tags.get(FOLDER_TAG) == folder for version in ours):
            # Other weights of the same epoch were recorded: those files are never overwritten.
            folder = f"{folder}-{identity[WEIGHTS_TAG][:12]}"
    for file in files:
        with file_transfer():
            client.log_artifact(run_id, str(file), folder)
    if same:
        number = str(same[0].version)
    else:
        try:
            client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(name, tags={SEARCH_TAG: search_of_model(name)})
        texts = {check_key(key, "a tag"): value for key, value in tags.items()}
        created = client.create_model_version(
            name, f"runs:/{run_id}/{folder}", run_id, tags={**texts, **identity, FOLDER_TAG: folder}
        )
        number = str(created.version)
    client.set_model_version_tag(name, number, COMPLETE_TAG, identity[WEIGHTS_TAG])
    return client.get_model_version(name, number)


def artifact_folder(version: ModelVersion) -> str:
    """Return a version's artifact path inside its run, checked segment by segment.

    Raises:
        RegistryError: It is no plain relative path of two segments under `checkpoint`.
    """
    folder = version.tags[FOLDER_TAG]
    segments = folder.split("/")
    if len(segments) != 2 or segments[0] != CHECKPOINT_FOLDER:
        raise RegistryError(f"{version.reference} has the artifact path {folder!r}, which is not ours")
    check_segment(segments[1], "an artifact path")
    return folder


def download_folder(home: Path, version: ModelVersion) -> Path:
    """Return where a version's files are kept on this machine when its store is elsewhere.

    Raises:
        RegistryError: As `artifact_folder`.
    """
    return home / DOWNLOADS_FOLDER / version.run_id / Path(artifact_folder(version)).name


def fetch_version(store: MlflowStore, client: MlflowClient, version: ModelVersion) -> Path:
    """Return a local folder with a version's files: the recorded one, else a checked download.

    Raises:
        RegistryError: The files are not where they were recorded, or lead out of there.
        CheckpointError: They are not those that were recorded.
        StorageError: The download cannot be written.
    """
    inside = artifact_folder(version)
    run = client.get_run(version.run_id)
    root = store.run_folder(version.search, version.run_id, run.info.artifact_uri)
    if root is not None:
        return check_recorded(local_part(root, inside), version.weights_sha256)
    target = download_folder(store.home, version)
    if target.is_dir():
        # A damaged copy is fetched again.
        with suppress(CheckpointError):
            return check_recorded(target, version.weights_sha256)

    def fill(scratch: Path) -> Path:
        with store.calls(f"cannot download {version.reference}"), file_transfer():
            got = Path(client.download_artifacts(version.run_id, inside, str(scratch)))
        return check_recorded(got, version.weights_sha256)

    return place_folder(fill, target)
