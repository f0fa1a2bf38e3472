"""Calls to a recorder as values: performed at once, or written as a line of text and performed later."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.registry.protocol import Registry

METHODS = (
    "open_search",
    "open_trial",
    "log_epoch",
    "record_checkpoint",
    "finish_trial",
    "finish_search",
    "set_champion",
    "crown",
    "log_scores",
    "log_files",
    "count_test_scoring",
)


@dataclass(frozen=True)
class Call:
    """One write: a method of `Registry` and its arguments by name. Its `run_id` is a handle."""

    method: str
    arguments: Mapping[str, Any]

    @property
    def search(self) -> str | None:
        """The search it belongs to; None where its run id is no handle."""
        if "run_id" in self.arguments:
            named = parse_handle(self.arguments["run_id"])
            return named[0] if named else None
        return str(self.arguments["name" if self.method == "open_search" else "search"])

    def perform(self, registry: Registry, run_of: Callable[[str], str]) -> Any:
        """Make the call.

        Args:
            registry: That records it.
            run_of: Gives the registry's own run id for a handle.
        """
        arguments = dict(self.arguments)
        if "run_id" in arguments:
            arguments["run_id"] = run_of(arguments["run_id"])
        return getattr(registry, self.method)(**arguments)

    def to_json(self) -> str:
        """Write the call as one line, without its newline."""
        arguments = dict(self.arguments)
        if "checkpoint" in arguments:
            arguments["checkpoint"] = str(arguments["checkpoint"])
        if arguments.get("files"):
            files = arguments["files"]
            arguments["files"] = {name: base64.b64encode(files[name]).decode() for name in files}
        return json.dumps({"call": self.method, "arguments": arguments}, allow_nan=False)


def call_from_json(line: str) -> Call:
    """Read what `Call.to_json` wrote.

    Raises:
        ValueError: It is something else.
    """
    stored = json.loads(line)
    if not isinstance(stored, dict) or stored.get("call") not in METHODS:
        raise ValueError(f"no call is recorded in {line[:80]!r}")
    arguments = dict(stored["arguments"])
    if "checkpoint" in arguments:
        arguments["checkpoint"] = Path(arguments["checkpoint"])
    if arguments.get("files"):
        arguments["files"] = {name: base64.b64decode(text) for name, text in arguments["files"].items()}
    return Call(stored["call"], arguments)


def handle(search: str, uid: str = "") -> str:
    """Name a trial's run, or the search's own, without having asked the store: `grl/grl-1f2e-0003`, `grl/`.

    No store's run id holds a slash, so a handle is never taken for one.
    """
    return f"{search}/{uid}"


def parse_handle(text: str) -> tuple[str, str | None] | None:
    """Return a handle's search and uid (None for the search's own run); None if it is no handle."""
    search, slash, uid = text.partition("/")
    return (search, uid or None) if slash else None
