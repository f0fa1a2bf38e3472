"""From a file and its `--set`s to a document that is known to be valid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vgsearch.config.document import SearchDocument, load_document


def load_space(
    file: Path, overrides: Sequence[str] | None, data_root: Path, *, allow_missing: bool = False
) -> SearchDocument:
    """Load a search space, with the checks that need timm.

    Raises:
        ConfigError: with every problem of the file.
    """
    from vgsearch.models.backbones import backbone_problem

    return load_document(
        file,
        overrides or (),
        data_root=None if allow_missing else data_root.resolve(),
        check_backbone=backbone_problem,
    )
