"""Names and tags of the registry, and the rules they follow."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from vgsearch.errors import RegistryError

CHAMPION_ALIAS = "champion"

SEARCH_TAG = "vgsearch.search"
KIND_TAG = "vgsearch.kind"
UID_TAG = "vgsearch.uid"
STATE_TAG = "vgsearch.state"
REASON_TAG = "vgsearch.reason"
TEXT_TAG = "vgsearch.config_sha256"
EPOCH_TAG = "vgsearch.epoch"
WEIGHTS_TAG = "vgsearch.weights_sha256"
FOLDER_TAG = "vgsearch.artifact_path"
COMPLETE_TAG = "vgsearch.complete"
INGREDIENTS_TAG = "vgsearch.num_ingredients"
SELECTED_ON_TAG = "vgsearch.selected_on"
IMPORTS_TAG = "vgsearch.imports"
TRANSLATORS_TAG = "vgsearch.translators"
RERANKERS_TAG = "vgsearch.reranker"
SOURCE_FILE_TAG = "vgsearch.source_file"
SOURCE_SHA256_TAG = "vgsearch.source_sha256"
SOURCE_FORMAT_TAG = "vgsearch.source_format"
SOURCE_BACKBONE_TAG = "vgsearch.source_backbone"
SELECTED_ON_TEST_TAG = "vgsearch.selected_on_test"
TRANSDUCTIVE_TAG = "vgsearch.transductive"
# Whatever is made of a model that has one of these, or starts from its weights, has it too.
INHERITED_TAGS = (SELECTED_ON_TEST_TAG, TRANSDUCTIVE_TAG)

MODEL_PREFIX = "vgsearch-"
EXPERIMENT_PREFIX = "vgsearch/"

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9_\-. :/]{1,250}")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VERSION_LIKE = re.compile(r"[vV]?[0-9]+")
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_\-. :/]")


def recall_tag(metric: str) -> str:
    """The tag of a version that holds a recall: `vgsearch.val.recall_at_1` of `val/recall_at_1`."""
    return f"vgsearch.{metric.replace('/', '.')}"


def recall_tags(metrics: Mapping[str, float]) -> dict[str, str]:
    """The recalls of the selection splits among `metrics`, in percent, as tags of a version."""
    return {recall_tag(name): f"{value:.4f}" for name, value in metrics.items() if name.startswith("val/")}


def check_segment(value: str, what: str) -> str:
    """Return `value` if it can stand as one path segment.

    Raises:
        RegistryError: It is empty, over 128 characters, made of dots alone, or holds anything but
            letters, digits, dot, underscore and hyphen.
    """
    if not _SEGMENT.fullmatch(value) or not value.strip("."):
        raise RegistryError(
            f"{what} may hold only letters, digits, '.', '_' and '-' (1 to 128 of them, not dots alone), "
            f"but got {value[:160]!r}"
        )
    return value


def check_alias(alias: str) -> str:
    """Return `alias` if a combination may have it.

    Raises:
        RegistryError: It is the champion's, one that MLflow keeps (`latest`, `v3`), or holds other characters
            than letters, digits, underscore and hyphen.
    """
    if alias == CHAMPION_ALIAS:
        raise RegistryError(
            f"the alias {CHAMPION_ALIAS!r} belongs to a search's best trial: take another one, such as 'soup'"
        )
    if not _ALIAS.fullmatch(alias) or alias.lower() == "latest" or _VERSION_LIKE.fullmatch(alias):
        raise RegistryError(
            "an alias may hold only letters, digits, '_' and '-' (1 to 128 of them), and be neither 'latest' "
            f"nor a version's number, but got {alias[:160]!r}"
        )
    return alias


def check_folder(folder: str) -> str:
    """Return `folder` if it is one or more plain segments with `/` between them.

    Raises:
        RegistryError: It is not.
    """
    for segment in folder.split("/"):
        check_segment(segment, "a segment of an artifact folder")
    return folder


def check_key(key: str, what: str) -> str:
    """Return `key` if MLflow takes it as the name of a metric, parameter or tag.

    Raises:
        RegistryError: A character MLflow forbids (such as '@'), over 250 characters, or a form that
            would be another name as a file path ('a//b', '/a', 'a/../b').
    """
    absolute_or_up = key.startswith(("/", "..")) or posixpath.normpath(key or "/") != key or key == "."
    if not _KEY.fullmatch(key) or absolute_or_up:
        raise RegistryError(
            f"{what} may hold only letters, digits and '_-. :/' (1 to 250, a plain relative path), "
            f"but got {key[:260]!r}"
        )
    return key


def safe_key(key: str) -> str:
    """Rewrite a configuration key so that MLflow takes it: forbidden characters become '_'."""
    kept = _NOT_IN_KEYS.sub("_", key)[:250]
    try:
        return check_key(kept, "a key")
    except RegistryError:
        return ("_" + kept.replace("/", "_"))[:250]


def model_name(search: str) -> str:
    """Name of the registered model of a search."""
    return MODEL_PREFIX + check_segment(search, "a search's name")


def experiment_name(search: str) -> str:
    """Name of the MLflow experiment of a search."""
    return EXPERIMENT_PREFIX + check_segment(search, "a search's name")


def search_of_model(name: str) -> str:
    """Name of the search whose registered model is `name`."""
    return name.removeprefix(MODEL_PREFIX)
