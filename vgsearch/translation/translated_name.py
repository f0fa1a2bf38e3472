"""What tells a result on translated photos from one on the photos as they are: the end of its set's name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from vgsearch.errors import CheckpointError
from vgsearch.models.plain_yaml import read_plain_yaml
from vgsearch.translation.checkpoint import WEIGHTS_FILE
from vgsearch.translation.origin import RECORD_NAME, original_of
from vgsearch.translation.translated_folder import SplitPart

TranslationKind = Literal["authors", "own", "brighten"]

_END = re.compile(
    r"-translated:(?P<kind>authors|own|brighten):(?P<part>queries|database):(?P<source>[^:]*):(?P<target>[^:]*)"
    r":(?P<px>[0-9]+|own):(?P<identity>[0-9a-f]{8})$"
)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class TranslatedName:
    """How one part of a split was translated.

    Attributes:
        kind: `authors` for a generator from files of ToDayGAN's code, `own` for one of `translate train`,
            `brighten` for the baseline.
        part: Which part.
        source: Domain of the photos; empty for the baseline, which knows none.
        target: What they became; likewise.
        px: Shorter side in pixels at which photos were translated; None for their own.
        identity: Eight hex digits that tell weights apart; of the baseline, the photos that it matched.
    """

    kind: TranslationKind
    part: SplitPart
    source: str
    target: str
    px: int | None
    identity: str

    def set_name(self, plain: str) -> str:
        """The name of a translated set, from that of the plain one."""
        source, target = (_NOT_PLAIN.sub("_", domain) for domain in (self.source, self.target))
        size = "own" if self.px is None else self.px
        return f"{plain}-translated:{self.kind}:{self.part}:{source}:{target}:{size}:{self.identity}"

    @classmethod
    def read(cls, set_name: str) -> tuple[TranslatedName | None, str]:
        """What `set_name` wrote, and the plain set's name; None, and the name as given, for any other."""
        found = _END.search(set_name)
        if found is None:
            return None, set_name
        name = cls(
            cast(TranslationKind, found["kind"]),
            cast(SplitPart, found["part"]),
            found["source"],
            found["target"],
            None if found["px"] == "own" else int(found["px"]),
            found["identity"],
        )
        return name, set_name[: found.start()]

    @classmethod
    def of_folders(cls, database: Path, queries: Path) -> TranslatedName | None:
        """How the two folders of a split were made.

        Returns:
            None where neither was translated, and where more was done than to translate one of them once.
        """
        folders: dict[SplitPart, Path] = {"queries": queries, "database": database}
        changed = {
            part: folder for part, folder in folders.items() if original_of(folder) != folder.resolve()
        }
        if len(changed) != 1:
            return None
        ((part, folder),) = changed.items()
        with suppress(CheckpointError, KeyError, TypeError, ValueError, AttributeError):
            record = read_plain_yaml(folder.resolve() / RECORD_NAME)
            photos = Path(record["photos"])
            return _read_record(record, part) if original_of(photos) == photos.resolve() else None
        return None


def _read_record(record: Mapping[str, Any], part: SplitPart) -> TranslatedName | None:
    """What `write_translated_folder` recorded; None for what another method did."""
    px = None if record["shorter_side_px"] == "own" else abs(int(record["shorter_side_px"]))
    if record["method"] == "brighten":
        return TranslatedName("brighten", part, "", "", px, _eight_digits(str(record["like_hash"])))
    if record["method"] != "gan":
        return None
    files = record["sha256"]
    kind: TranslationKind = "own" if WEIGHTS_FILE in files else "authors"
    identity = _eight_digits("".join(str(files[name]) for name in sorted(files)))
    return TranslatedName(kind, part, str(record["from"]), str(record["to"]), px, identity)


def _eight_digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
