"""The end of a styled set's name, by which a recorded result says in which styles it was scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from vgsearch.config.fda import FdaSetting

_NUMBERS = (
    r"-beta(?P<beta>[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)-seed(?P<seed>[0-9]+)(?:-style(?P<style>[0-9a-f]{8}))?"
)
_SUFFIX = re.compile(rf"-fda-(?P<setting>{'|'.join(get_args(FdaSetting))})(?:{_NUMBERS})?$")


@dataclass(frozen=True)
class FdaName:
    """How a set was brought to other styles.

    Attributes:
        setting: one of `FdaSetting`.
        beta: size of the window, see `window_half_width`; None where the name has only the setting.
        seed: of the draws; None likewise.
        style: eight hex digits of the style photos' `content_hash` where they were given in place of the
            model's training photos; else empty.
    """

    setting: str
    beta: float | None = None
    seed: int | None = None
    style: str = ""

    @property
    def suffix(self) -> str:
        """`-fda-queries_to_database-beta0.01-seed0`: letters, digits, dots, hyphens and underscores alone."""
        style = f"-style{self.style}" if self.style else ""
        numbers = "" if self.beta is None else f"-beta{self.beta!r}-seed{self.seed}{style}"
        return f"-fda-{self.setting}{numbers}"

    @classmethod
    def of_set(cls, name: str) -> FdaName | None:
        """What the name of a set ends with; None for plain photos."""
        match = _SUFFIX.search(name)
        if match is None:
            return None
        beta, seed = match["beta"], match["seed"]
        return cls(
            setting=match["setting"],
            beta=None if beta is None else float(beta),
            seed=None if seed is None else int(seed),
            style=match["style"] or "",
        )
