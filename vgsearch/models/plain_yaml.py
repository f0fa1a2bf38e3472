"""Reading the small text files of a checkpoint: capped in size, of YAML plain values only and no aliases."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vgsearch.errors import CheckpointError

Schema = TypeVar("Schema", bound=BaseModel)

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 40


def read_plain_yaml(path: Path) -> Any:
    """Read mappings, lists and scalars.

    Raises:
        CheckpointError: The file is missing, too large, no YAML, or holds tags, aliases or deep nesting.
    """
    text = read_small_text(path)
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is damaged ({type(error).__name__}); use another checkpoint"
        ) from error


def read_plain_model(path: Path, schema: type[Schema]) -> Schema:
    """Read a file that a schema describes.

    Raises:
        CheckpointError: The file is missing, is no YAML, or breaks the schema.
    """
    content = read_plain_yaml(path)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path}: {where}: {first['msg']} ({error.error_count()} problems); was it written by another "
            "version of vgsearch?"
        ) from error


def read_small_text(path: Path) -> str:
    """Read a UTF-8 text of at most 4 MiB.

    Raises:
        CheckpointError: The file is missing, too large, or no such text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise CheckpointError(f"{path}: is larger than {MAX_BYTES} bytes; it is no checkpoint file")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CheckpointError(f"{path}: cannot be read ({reason}); is this a checkpoint folder?") from error


class _PlainLoader(yaml.SafeLoader):
    """Safe loader that refuses aliases: our writers make none, and they can blow a small file up."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", None)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", None)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node
