"""A configuration as MLflow parameters: flat names, short values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from vgsearch.registry.names import safe_key

MAX_VALUE_CHARACTERS = 6000
PARAMS_PER_BATCH = 100


def flatten(params: Mapping[str, object]) -> dict[str, str]:
    """Turn nested mappings into dotted keys and every value into text.

    Text stays as it is; everything else is written as JSON, so null, true and 1e-05 read as in the
    YAML. Values over 6000 characters are cut (the whole configuration is an artifact as well), and
    characters that MLflow forbids in keys become '_'.
    """
    return {safe_key(key): _text(value)[:MAX_VALUE_CHARACTERS] for key, value in _leaves("", params)}


def batches(flat: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Split `flat` into pieces of at most 100, MLflow's limit for one request."""
    items = list(flat.items())
    for start in range(0, len(items), PARAMS_PER_BATCH):
        yield dict(items[start : start + PARAMS_PER_BATCH])


def _leaves(prefix: str, node: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(path, value)
        else:
            yield path, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
