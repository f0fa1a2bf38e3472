"""A name in the store is a search's, or that of networks which no search trained: never both."""

from __future__ import annotations

from collections.abc import Mapping

from vgsearch.errors import RegistryError
from vgsearch.registry.names import IMPORTS_TAG, RERANKERS_TAG, TRANSLATORS_TAG

_OTHERS = {
    IMPORTS_TAG: "of imported networks",
    TRANSLATORS_TAG: "of image translators",
    RERANKERS_TAG: "of networks that re-rank",
}


def check_not_taken(name: str, recorded: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Refuse to open what is recorded under `name` as something else than it is.

    Args:
        name: A search's, or what stands for one.
        recorded: Tags of the parent run that has the name.
        tags: Those that it is to be opened with.

    Raises:
        RegistryError: It is of networks from elsewhere, of translators or of re-rankers, and `tags` are not.
    """
    for tag, whose in _OTHERS.items():
        if tag in recorded and tag not in tags:
            raise RegistryError(
                f"{name!r} is the name {whose} in this store: take another (a search: --set name=NAME)"
            )
