"""What a recall must share with another to be comparable, in one readable word."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STAMP = re.compile(
    r"(?P<images>[^-]+)-(?P<threshold>[0-9.e-]+m)-(?P<query_method>[a-z_]+)-(?P<resize>fullsize|[0-9]+px)"
    r"(?:-(?P<target>[0-9]+x[0-9]+))?"
)


@dataclass(frozen=True)
class Stamp:
    """The parts of a stamp.

    Attributes:
        images: the beginning of the set's `query_set_hash`.
        threshold: how near a positive is, `25m`.
        query_method: one of `QueryMethod`.
        resize: shorter side of the images, `480px`; `fullsize` where each keeps its own.
        target: height x width in pixels that images are brought to, `480x640`; empty where none was given.
    """

    images: str
    threshold: str
    query_method: str
    resize: str
    target: str = ""

    def __str__(self) -> str:
        """`1f0c2a9e7b3d5a60-25m-native-480px`, or `...-25m-central_crop-fullsize-480x640`."""
        target = f"-{self.target}" if self.target else ""
        return f"{self.images}-{self.threshold}-{self.query_method}-{self.resize}{target}"

    @classmethod
    def read(cls, text: str) -> Stamp | None:
        """What `str` wrote; None for anything else."""
        match = _STAMP.fullmatch(text)
        return None if match is None else cls(**match.groupdict(default=""))
