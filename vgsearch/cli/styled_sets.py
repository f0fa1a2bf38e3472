"""`--fda` of a command that scores: its options, and the splits in other photos' styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.config.fda import DEFAULT_BETA, DEFAULT_SEED, FdaSetting
from vgsearch.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vgsearch.data.index import ImageIndex
    from vgsearch.data.retrieval_set import RetrievalSet

Fda = Annotated[
    FdaSetting | None,
    typer.Option(
        help="Score with photos in another style (Fourier domain adaptation): all of the split in that of "
        "training photos, queries in that of the database, or the database in that of the queries, in its "
        "place or added to it.",
    ),
]
FdaBeta = Annotated[
    float | None,
    typer.Option(
        help=f"How much of the spectrum --fda swaps: half the window's side as a part of the photo's shorter "
        f"side, above 0 and below 0.5; default {DEFAULT_BETA}."
    ),
]
FdaSeed = Annotated[int, typer.Option(min=0, help="Which photo lends its style to which is drawn from this.")]
FdaStyle = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Photos for --fda train_to_split; default the model's training photos."
    ),
]


@dataclass(frozen=True)
class FdaRequest:
    """What a user asked for with `--fda`.

    Attributes:
        setting: whose style goes where; None for none.
        beta: None for the default.
        seed: of the draws.
        style: a folder in place of the training photos.
    """

    setting: FdaSetting | None = None
    beta: float | None = None
    seed: int = DEFAULT_SEED
    style: Path | None = None

    def __str__(self) -> str:
        """What was done, for the line with the recalls; empty where nothing was."""
        if self.setting is None:
            return ""
        return f"FDA {self.setting}, beta {self._checked_beta():g}, seed {self.seed}"

    def apply(self, sets: Sequence[RetrievalSet], train: str, data_root: Path) -> list[RetrievalSet]:
        """The sets in their styles; as they are where none was asked for.

        Args:
            sets: as they are.
            train: the model's training folder.
            data_root: where a relative `style` is looked for, if it is not here.

        Raises:
            ConfigError: an option does not go with the others, or `beta` is outside its range.
            DataError: the folder with the style is missing or empty.
        """
        from vgsearch.data.styled_set import styled_set

        if self.setting is None:
            if self.beta is not None or self.style is not None or self.seed != DEFAULT_SEED:
                raise ConfigError(
                    ["--fda-beta, --fda-seed and --fda-style go with --fda SETTING; add it or leave them out"]
                )
            return list(sets)
        if self.style is not None and self.setting != "train_to_split":
            raise ConfigError(
                [f"--fda-style goes with --fda train_to_split, got --fda {self.setting}; leave one out"]
            )
        beta = self._checked_beta()
        photos = self._style_photos(train, data_root) if self.setting == "train_to_split" else None
        is_other = photos is not None and self.style is not None and not _is_copy(photos, train)
        return [
            styled_set(each, self.setting, beta=beta, seed=self.seed, train=photos, is_other_style=is_other)
            for each in sets
        ]

    def _checked_beta(self) -> float:
        return DEFAULT_BETA if self.beta is None else checked_beta(self.beta, "--fda-beta")

    def _style_photos(self, train: str, data_root: Path) -> ImageIndex:
        from vgsearch.data.index import index_folder

        if self.style is None:
            if not train or not Path(train).is_dir():
                raise DataError(
                    "--fda train_to_split needs the model's training photos, and "
                    f"{f'{train} is not there' if train else 'it was imported without data'}: "
                    "name a folder of photos with --fda-style"
                )
            return index_folder(Path(train))
        here = self.style.expanduser()
        return index_folder(here if here.is_dir() or here.is_absolute() else data_root / here)


def _is_copy(photos: ImageIndex, train: str) -> bool:
    """Whether photos are the training photos, as far as these are there to be compared."""
    from vgsearch.data.index import index_folder

    if not train or not Path(train).is_dir():
        return False
    return index_folder(Path(train)).content_hash == photos.content_hash


def checked_beta(beta: float, option: str) -> float:
    """`beta` if it is in the range that the command line takes.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < beta < 0.5:
        raise ConfigError(
            [f"{option} must be above 0 and below 0.5, got {beta:g}; the authors used 0.01 to 0.09"]
        )
    return beta
