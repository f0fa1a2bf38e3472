"""In what a recorded result was scored otherwise than usual: in two words for a table, in more for a note."""

from __future__ import annotations

from dataclasses import dataclass

from vgsearch.config.fda import DEFAULT_BETA, DEFAULT_SEED
from vgsearch.data.fda_name import FdaName
from vgsearch.rerank.reranking import NamedReranker
from vgsearch.retrieval.stamp import Stamp
from vgsearch.translation.author_files import AUTHORS_LOAD_PX
from vgsearch.translation.translated_name import TranslatedName

_DISTANCE, _RESIZE = "25m", "fullsize"
_TRAINING_PHOTOS = "sf_xs/train"


@dataclass(frozen=True)
class Unusual:
    """One setting that is not the usual one.

    Attributes:
        short: Beside the others of a result.
        long: On its own, with what is usual.
    """

    short: str
    long: str


def unusual_stamp(asked: Stamp) -> list[Unusual]:
    """Of distance and sizes what is not the paper's."""
    found = []
    if asked.threshold != _DISTANCE:
        found.append(
            Unusual(f"within {asked.threshold}", f"positives within {asked.threshold}, not {_DISTANCE}")
        )
    if asked.resize != _RESIZE:
        found.append(Unusual(asked.resize, f"images at {asked.resize}, not at full size"))
    if asked.target:
        found.append(Unusual(asked.target, f"brought to {asked.target} px, not to the database's own size"))
    return found


def unusual_fda(fda: FdaName) -> list[Unusual]:
    """What is not our default; the paper says neither beta nor how it paired photos."""
    found = []
    if fda.beta is None:
        found.append(Unusual("beta unknown", "FDA with a beta and a seed that were not recorded"))
    elif fda.beta != DEFAULT_BETA:
        found.append(Unusual(f"beta {fda.beta}", f"FDA beta {fda.beta} (default {DEFAULT_BETA})"))
    if fda.seed not in (None, DEFAULT_SEED):
        found.append(Unusual(f"seed {fda.seed}", f"FDA seed {fda.seed} (default {DEFAULT_SEED})"))
    if fda.style:
        long = f"FDA in the style of the photos {fda.style} of --fda-style (paper: of training photos)"
        found.append(Unusual(f"style {fda.style}", long))
    return found


def unusual_reranker(network: NamedReranker) -> list[Unusual]:
    """What is not the paper's of a network that was trained here."""
    if network.sort.kind != "trained" or network.trained_on == _TRAINING_PHOTOS:
        return []
    photos = network.trained_on or "unknown photos"
    long = f"re-ranked by a network that was trained on {photos} (paper: {_TRAINING_PHOTOS})"
    return [Unusual(f"trained on {photos}", long)]


def unusual_translation(translated: TranslatedName) -> list[Unusual]:
    """What is not as with the authors' files, which the paper took."""
    if translated.kind == "brighten":
        return []  # it stands for no row, so there is nothing to hold it against
    found = []
    if translated.kind == "own":
        long = f"translated by a network of our own training, {translated.identity} (paper: pretrained)"
        found.append(Unusual("trained here", long))
    if translated.px != AUTHORS_LOAD_PX:
        size = "their own size" if translated.px is None else f"{translated.px} px"
        found.append(Unusual(f"at {size}", f"translated at {size} (the authors at {AUTHORS_LOAD_PX} px)"))
    return found
