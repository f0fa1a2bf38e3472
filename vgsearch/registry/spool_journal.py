"""The journal of one search's calls that wait for the store: a file that any kill leaves readable.

Its first line names the store, which a search's `open_search` has reached once. Then comes a line for each
waiting call, and a line "done" for each that was delivered; when none waits, only the first line is left.
A torn last line, which a kill can leave, is cut away on opening.
"""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path

from vgsearch.errors import RegistryError, StorageError
from vgsearch.registry.spool_calls import Call, call_from_json


class Journal:
    """The waiting calls of one search, in the order they were made. One process at a time opens it.

    Attributes:
        path: The journal.
        refused_path: Where calls go that the store refused when they were delivered.
        store: The store that the search was opened in; None if it never was.
    """

    def __init__(self, folder: Path, search: str, *, mend: bool = True) -> None:
        """Read the journal of `search`, if there is one.

        Args:
            folder: Where journals lie.
            search: Its name.
            mend: Cut a torn last line off; without, it is only left out, for a reader beside the writer.

        Raises:
            RegistryError: A line in its middle is damaged.
            StorageError: It cannot be read or mended.
        """
        self.path = folder / f"{search}.jsonl"
        self.refused_path = folder / f"{search}.refused.jsonl"
        self.store: str | None = None
        self._lines: deque[str] = deque()
        self._read(mend)

    def __len__(self) -> int:
        """How many calls wait."""
        return len(self._lines)

    def begin(self, store: str) -> None:
        """Note that the search has been opened in `store`, once nothing waits any more."""
        if self.store != store:
            self._write(self.path, json.dumps({"store": store}), anew=True)
            self.store = store

    def append(self, call: Call) -> None:
        """Queue a call; on disk when this returns."""
        line = call.to_json()
        self._write(self.path, line)
        self._lines.append(line)

    def first(self) -> Call:
        """Return the call whose turn it is; `IndexError` if none waits."""
        return call_from_json(self._lines[0])

    def done(self) -> None:
        """Take the first call out: it is delivered."""
        self._lines.popleft()
        if self._lines:
            # Lost in a power cut, it costs one more delivery of the same call, which changes nothing.
            self._write(self.path, json.dumps({"done": 1}), durable=False)
        else:
            self._write(self.path, json.dumps({"store": self.store}), anew=True)

    def refuse(self, reason: str) -> None:
        """Take out the first call, which can never be delivered; it is kept beside, with the reason."""
        line = json.dumps({"reason": reason, **json.loads(self._lines[0])})
        self._write(self.refused_path, line)
        self.done()

    def _read(self, mend: bool) -> None:
        try:
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content and mend:
                os.truncate(self.path, len(whole))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror or error}") from error
        for number, line in enumerate(whole.decode("utf-8", "replace").splitlines(), start=1):
            try:
                self._take(line)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                raise RegistryError(
                    f"{self.path}:{number} is damaged, so what waits for the MLflow store cannot be "
                    "delivered: mend the line or delete it"
                ) from error

    def _take(self, line: str) -> None:
        stored = json.loads(line)
        if "store" in stored:
            self.store = stored["store"]
        elif "done" in stored:
            self._lines.popleft()
        else:
            call_from_json(line)
            self._lines.append(line)

    def _write(self, path: Path, line: str, *, anew: bool = False, durable: bool = True) -> None:
        target = path.with_name(f".{path.name}.partial") if anew else path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb" if anew else "ab") as stream:
                stream.write(line.encode() + b"\n")
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            if anew:
                target.replace(path)
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another --home"
            ) from error
