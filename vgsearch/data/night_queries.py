"""Which queries of a set were taken at night: the surest rule that tells, and by which rule that was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.brightness import histogram_lines, otsu_threshold, separation, upper_half_luminance
from vgsearch.data.index import ImageIndex
from vgsearch.data.night_manifest import by_manifest
from vgsearch.data.night_rules import NIGHT, UNKNOWN, Verdicts, by_note, by_timestamp, by_tokyo_number
from vgsearch.errors import DataError

NightRule = Literal["manifest", "note", "timestamp", "number", "brightness"]

_CLEARLY_DARKER = 0.75  # of pairs of a night and another query; a half is chance

_WORDS: dict[str, str] = {
    "manifest": "the manifest",
    "note": "the note in each name",
    "timestamp": "each name's timestamp, between sunset and sunrise",
    "number": "the numbers of Tokyo 24/7 (every third query is night)",
    "brightness": "brightness alone",
}


@dataclass(frozen=True, eq=False)
class NightQueries:
    """A decision about every query.

    Attributes:
        rule: by which rule.
        is_night: bool (q,).
        doubt: why a person should look before this is used; empty where the rule is sure.
        details: lines that show what the rule saw.
        luminance_threshold: of the brightness rule, 0 to 255; None for the others.
    """

    rule: NightRule
    is_night: NDArray[np.bool_]
    doubt: str = ""
    details: tuple[str, ...] = ()
    luminance_threshold: float | None = None

    @property
    def rule_in_words(self) -> str:
        """Such as `the note in each name`."""
        return _WORDS[self.rule]


def find_night_queries(
    queries: ImageIndex,
    *,
    manifest: Path | None = None,
    rule: NightRule | None = None,
    utc_offset_h: float | None = None,
) -> NightQueries:
    """Decide by the manifest if there is one, else by notes, timestamps, numbers, or at last by brightness.

    A rule is taken when it tells for every query.

    Args:
        queries: the images.
        manifest: see `by_manifest`.
        rule: the only rule to try; None for the order above.
        utc_offset_h: for timestamps, see `by_timestamp`.

    Raises:
        DataError: a rule tells for some of the queries and not for others, or does not tell for any where it
            is the only one to try; no query is night, or brightness does not part them.
        ImageError: an image cannot be read.
    """
    if manifest is not None and rule in (None, "manifest"):
        found = _decided(queries, "manifest", by_manifest(manifest, queries.paths))
        if found is None:
            raise DataError(
                f"{manifest} lists none of the queries of {queries.root}, by path or by file name"
            )
        return found
    verdicts: dict[NightRule, Verdicts] = {
        "note": by_note(queries.paths),
        "timestamp": by_timestamp(queries.paths, utc_offset_h),
        "number": by_tokyo_number(queries.paths),
    }
    for name, verdict in verdicts.items():
        if rule in (None, name) and (found := _decided(queries, name, verdict)) is not None:
            return _with_look(queries, found) if name == "number" else found
    if rule in (None, "brightness"):
        return _by_brightness(queries)
    raise DataError(
        f"{_WORDS[rule]} does not tell which queries of {queries.root} are night: "
        f"list them in a --manifest, or choose another rule"
    )


def _decided(queries: ImageIndex, rule: NightRule, verdicts: Verdicts) -> NightQueries | None:
    unknown = verdicts == UNKNOWN
    if unknown.all():
        return None
    if unknown.any():
        first = queries.paths[int(np.argmax(unknown))]
        raise DataError(
            f"{_WORDS[rule]} says the time of day of {int((~unknown).sum())} queries of {queries.root}, but "
            f"not of {int(unknown.sum())}, first {first!r}: list all in a --manifest, or choose another rule "
            f"with --by"
        )
    return _checked(queries, NightQueries(rule, verdicts == NIGHT))


def _checked(queries: ImageIndex, found: NightQueries) -> NightQueries:
    if not found.is_night.any():
        raise DataError(f"no query of {queries.root} is night, by {found.rule_in_words}")
    return found


def _with_look(queries: ImageIndex, found: NightQueries) -> NightQueries:
    """Numbers are only an order of taking pictures: see whether what they call night is the darker part."""
    luminance = upper_half_luminance(queries)
    night, rest = luminance[found.is_night], luminance[~found.is_night]
    if not rest.size:
        return found
    darker = float((night[:, None] < rest[None, :]).mean())
    seen = (
        f"mean luminance: night {night.mean():.0f}, others {rest.mean():.0f} of 255 "
        f"(darker in {100 * darker:.0f}% of pairs)"
    )
    doubt = "" if darker >= _CLEARLY_DARKER else "night by their numbers, but hardly darker than the others"
    return NightQueries(found.rule, found.is_night, doubt, (seen,))


def _by_brightness(queries: ImageIndex) -> NightQueries:
    luminance = upper_half_luminance(queries)
    threshold = otsu_threshold(luminance)
    if np.isnan(threshold):
        raise DataError(
            f"all queries of {queries.root} are equally bright: list the night ones in a --manifest"
        )
    lines = ["queries by mean luminance of their upper half, and Otsu's threshold:"]
    lines += histogram_lines(luminance, threshold)
    share = separation(luminance, threshold)
    lines.append(f"{100 * share:.0f}% of the variance lies between both sides (evenly spread: 75%)")
    doubt = f"names do not tell, so queries darker than {threshold:.0f} of 255 would be called night"
    return _checked(
        queries, NightQueries("brightness", luminance < threshold, doubt, tuple(lines), threshold)
    )
