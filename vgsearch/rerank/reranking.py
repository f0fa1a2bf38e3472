"""What tells a re-ranked result from the plain one and from other re-rankings: ends of its stamp and name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, cast

from vgsearch.config.geowarp import PoolingName
from vgsearch.errors import CheckpointError
from vgsearch.rerank.checkpoint import read_geowarp_config, read_geowarp_lineage

RerankerKind = Literal["imported", "trained", "unknown"]

_STAMP_END = re.compile(r"-geowarp-(?P<identity>[0-9a-f]{16})-(?P<precision>[a-z0-9]+)-top(?P<n>[0-9]+)$")
_NAME_END = re.compile(
    r"-geowarp:(?P<kind>imported|trained|unknown):(?P<pooling>gem|netvlad):(?P<encoder>[^:]+)"
    r":(?P<trained_on>[^:]*):(?P<name>[^:]+)$"
)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._/-]")


@dataclass(frozen=True)
class RerankerSort:
    """What sort of network re-ranks, apart from its weights.

    Attributes:
        kind: `imported` from the authors' files, `trained` here, or `unknown` where its lineage is lost.
        encoder: As `GeoWarpConfig.encoder`.
        pooling: As `GeoWarpConfig.pooling`.
    """

    kind: RerankerKind
    encoder: str
    pooling: PoolingName


@dataclass(frozen=True)
class NamedReranker:
    """A network that re-ranks, without its weights.

    Attributes:
        name: Of its folder.
        sort: Its sort.
        trained_on: Of one that was trained here the last two parts of the folder of training photos, such as
            `sf_xs/train`; else empty.
    """

    name: str
    sort: RerankerSort
    trained_on: str = ""

    @classmethod
    def of_checkpoint(cls, folder: Path) -> NamedReranker:
        """Read it.

        Raises:
            CheckpointError: `geowarp.yaml` is missing or damaged.
        """
        config = read_geowarp_config(folder)
        try:
            lineage = read_geowarp_lineage(folder)
        except CheckpointError:  # it re-ranks all the same
            lineage = {}
        kind, photos = lineage.get("kind"), lineage.get("photos")
        known = cast(RerankerKind, kind) if kind in ("imported", "trained") else "unknown"
        train = str(photos.get("folder", "")) if isinstance(photos, dict) else ""
        sort = RerankerSort(known, config.encoder, config.pooling)
        return cls(folder.resolve().name, sort, "/".join(PurePath(train).parts[-2:]))


@dataclass(frozen=True)
class Reranking:
    """How a result's first candidates were put into a second order.

    Attributes:
        identity: As of `geowarp_identity`.
        precision: Number format of the encoder, such as `fp32`.
        n: How many candidates of each query.
        network: What did it; None where a result does not say.
    """

    identity: str
    precision: str
    n: int
    network: NamedReranker | None = None

    def stamp(self, plain: str) -> str:
        """The stamp of a re-ranked result, made from the stamp of the plain one."""
        return f"{plain}-geowarp-{self.identity}-{self.precision}-top{self.n}"

    def set_name(self, plain: str) -> str:
        """The name of a re-ranked result's set, from that of the plain one; the stamp says the rest."""
        if self.network is None:
            return plain
        texts = (self.network.sort.encoder, self.network.trained_on, self.network.name)
        encoder, trained_on, name = (_NOT_PLAIN.sub("_", text) for text in texts)
        sort = self.network.sort
        return f"{plain}-geowarp:{sort.kind}:{sort.pooling}:{encoder}:{trained_on}:{name}"

    @classmethod
    def read(cls, stamp: str, set_name: str) -> tuple[Reranking | None, str, str]:
        """What `stamp` and `set_name` wrote, and both as they are of the plain result.

        Returns:
            None for a plain result, and both as given.
        """
        found, named = _STAMP_END.search(stamp), _NAME_END.search(set_name)
        if found is None:
            return None, stamp, set_name
        network = None
        if named is not None:
            kind, pooling = cast(RerankerKind, named["kind"]), cast(PoolingName, named["pooling"])
            sort = RerankerSort(kind, named["encoder"], pooling)
            network = NamedReranker(named["name"], sort, named["trained_on"])
            set_name = set_name[: named.start()]
        how = cls(found["identity"], found["precision"], int(found["n"]), network)
        return how, stamp[: found.start()], set_name
