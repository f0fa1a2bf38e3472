"""Recording a network from elsewhere: its run, its version, and the file it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgsearch.errors import RegistryError
from vgsearch.models.checkpoint import SPEC_FILE, read_spec
from vgsearch.registry.names import (
    CHAMPION_ALIAS,
    IMPORTS_TAG,
    SOURCE_BACKBONE_TAG,
    SOURCE_FILE_TAG,
    SOURCE_FORMAT_TAG,
    SOURCE_SHA256_TAG,
    recall_tags,
)
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion

# A version counts completed epochs from 1, and what was trained elsewhere does not say how many it had.
IMPORT_EPOCH = 1
_CONFIG_TEXT = "# Networks from elsewhere: see trial.yaml and lineage.json of each version.\n"


@dataclass(frozen=True)
class ImportSource:
    """The file that a network came from.

    Attributes:
        path: Where it lay.
        sha256: Hash of its bytes.
        format: Whose layout it has, such as `cosplace`.
        backbone: The backbone's name in that format.
    """

    path: Path
    sha256: str
    format: str
    backbone: str

    def lineage(self) -> bytes:
        """What `lineage.json` holds."""
        source = {
            "file": str(self.path),
            "sha256": self.sha256,
            "format": self.format,
            "backbone": self.backbone,
        }
        content = {"kind": "imported", "source": source, "selected_on_test": False}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

    def tags(self) -> dict[str, str]:
        """Tags of the version."""
        return {
            SOURCE_FILE_TAG: self.path.name,
            SOURCE_SHA256_TAG: self.sha256,
            SOURCE_FORMAT_TAG: self.format,
            SOURCE_BACKBONE_TAG: self.backbone,
        }


def check_import_name(registry: Registry, name: str) -> None:
    """Refuse a name that a search has: its runs and its champion are its own.

    Raises:
        RegistryError: It is taken, or cannot be a name.
    """
    for search in registry.searches():
        if search.name == name and IMPORTS_TAG not in search.tags:
            raise RegistryError(
                f"{name!r} is the name of a search in this store; import under another with --name"
            )


def record_import(
    registry: Registry,
    folder: Path,
    source: ImportSource,
    metrics: Mapping[str, float],
) -> ModelVersion:
    """Make a network from elsewhere a version of `vgsearch-<name>`, its champion if there is none yet.

    It also takes the place of a champion that is the same file, recorded without recalls.

    Every step can be repeated: after a kill the same call finishes what is missing, and the same network with
    the same settings is one version.

    Args:
        registry: Where it goes.
        folder: Its checkpoint folder; the spec in it gives name and uid.
        source: The file it came from.
        metrics: Recalls of selection splits in percent, as a trial's; may be empty.

    Returns:
        The version, with its aliases.

    Raises:
        RegistryError: The store refuses, or the name is a search's.
        CheckpointError: `folder` is no checkpoint.
    """
    spec = read_spec(folder)
    check_import_name(registry, spec.search)
    parent = registry.open_search(
        spec.search, params={}, config_text=_CONFIG_TEXT, tags={IMPORTS_TAG: "true"}
    )
    spec_text = (folder / SPEC_FILE).read_text(encoding="utf-8")
    run_id = registry.open_import(
        spec.search,
        spec.uid,
        label=f"{source.backbone} of {source.path.name}",
        params=spec.trial.model_dump(mode="json"),
        spec_text=spec_text,
    )
    registry.log_scores(run_id, metrics)
    version = registry.record_checkpoint(
        run_id,
        folder,
        search=spec.search,
        uid=spec.uid,
        epoch=IMPORT_EPOCH,
        tags={**source.tags(), **recall_tags(metrics)},
    )
    champions = [each for each in registry.versions(spec.search) if CHAMPION_ALIAS in each.aliases]
    if not champions or _is_better_known(version, champions[0]):
        registry.set_champion(spec.search, version.version)
    registry.finish_trial(run_id, "complete")
    registry.finish_search(parent, "complete")
    return next(each for each in registry.versions(spec.search) if each.version == version.version)


def _is_better_known(version: ModelVersion, champion: ModelVersion) -> bool:
    """Whether both came from one file, and only the new one says what it is worth on val."""
    same_file = version.tags.get(SOURCE_SHA256_TAG) == champion.tags.get(SOURCE_SHA256_TAG)
    return same_file and champion.is_unscored_import and not version.is_unscored_import
