"""What tells a re-ranked result from the plain one and from other re-rankings: ends of its stamp and name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from vgsearch.config.geowarp import PoolingName
from vgsearch.errors import CheckpointError
from vgsearch.rerank.checkpoint import read_geowarp_config, read_geowarp_lineage

RerankerKind = Literal["imported", "trained", "unknown"]

_STAMP_END = re.compile(r"-geowarp-(?P<identity>[0-9a-f]{16})-(?P<precision>[a-z0-9]+)-top(?P<n>[0-9]+)$")
_NAME_END = re.compile(
    r"-geowarp:(?P<kind>imported|trained|unknown):(?P<pooling>gem|netvlad):(?P<encoder>[^:]+):(?P<name>[^:]+)$"
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

    @classmethod
    def of_checkpoint(cls, folder: Path) -> RerankerSort:
        """Read it.

        Raises:
            CheckpointError: `geowarp.yaml` is missing or damaged.
        """
        config = read_geowarp_config(folder)
        try:
            kind = read_geowarp_lineage(folder).get("kind")
        except CheckpointError:  # it re-ranks all the same
            kind = None
        known = cast(RerankerKind, kind) if kind in ("imported", "trained") else "unknown"
        return cls(known, config.encoder, config.pooling)


@dataclass(frozen=True)
class Reranking:
    """How a result's first candidates were put into a second order.

    Attributes:
        identity: As of `geowarp_identity`.
        precision: Number format of the encoder, such as `fp32`.
        n: How many candidates of each query.
        name: What the network was called; empty where a result does not say.
        sort: Likewise None.
    """

    identity: str
    precision: str
    n: int
    name: str = ""
    sort: RerankerSort | None = None

    def stamp(self, plain: str) -> str:
        """The stamp of a re-ranked result, made from the stamp of the plain one."""
        return f"{plain}-geowarp-{self.identity}-{self.precision}-top{self.n}"

    def set_name(self, plain: str) -> str:
        """The name of a re-ranked result's set, from that of the plain one; the stamp says the rest."""
        if self.sort is None:
            return plain
        encoder, name = (_NOT_PLAIN.sub("_", text) for text in (self.sort.encoder, self.name))
        return f"{plain}-geowarp:{self.sort.kind}:{self.sort.pooling}:{encoder}:{name}"

    @classmethod
    def read(cls, stamp: str, set_name: str) -> tuple[Reranking | None, str, str]:
        """What `stamp` and `set_name` wrote, and both as they are of the plain result.

        Returns:
            None for a plain result, and both as given.
        """
        found, named = _STAMP_END.search(stamp), _NAME_END.search(set_name)
        if found is None:
            return None, stamp, set_name
        ordering = cls(found["identity"], found["precision"], int(found["n"]))
        if named is None:
            return ordering, stamp[: found.start()], set_name
        sort = RerankerSort(
            cast(RerankerKind, named["kind"]), named["encoder"], cast(PoolingName, named["pooling"])
        )
        known = cls(ordering.identity, ordering.precision, ordering.n, named["name"], sort)
        return known, stamp[: found.start()], set_name[: named.start()]
