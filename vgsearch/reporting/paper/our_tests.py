"""One recorded result on a test split, and how it was scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vgsearch.data.fda_name import FdaName
from vgsearch.rerank.reranking import Reranking
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.stamp import Stamp
from vgsearch.translation.translated_name import TranslatedName


@dataclass(frozen=True)
class OurTest:
    """One recorded result on a test split.

    Attributes:
        split: The test's name in the data section.
        result: Query by query; its stamp and the name of its set say how it was scored.
    """

    split: str
    result: RetrievalResult

    @property
    def asked(self) -> Stamp | None:
        """Distance of a positive, query method, sizes; None if the stamp says nothing."""
        _, stamp, _ = self._ordered
        return Stamp.read(stamp)

    @property
    def fda(self) -> FdaName | None:
        """Whose style went where at scoring; None for photos in their own."""
        _, _, set_name = self._ordered
        return FdaName.of_set(set_name)

    @property
    def reranking(self) -> Reranking | None:
        """How its first candidates were put into a second order; None for the order of the descriptors."""
        return self._ordered[0]

    @property
    def translated(self) -> TranslatedName | None:
        """How one part of the split was translated; None for photos as they are."""
        return self._made[0]

    @property
    def other_networks(self) -> str:
        """Tells apart what re-ranked and what translated; empty where nothing did."""
        identities = [
            self.reranking.identity if self.reranking else "",
            self.translated.identity if self.translated else "",
        ]
        return "-".join(filter(None, identities))

    @cached_property
    def _made(self) -> tuple[TranslatedName | None, str]:
        return TranslatedName.read(self.result.set_name)

    @cached_property
    def _ordered(self) -> tuple[Reranking | None, str, str]:
        """The ends of a name stand in the order in which they were added."""
        return Reranking.read(self.result.stamp, self._made[1])
