"""Scores of pairs kept on disk: a network is asked once about the same photos and candidates."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgsearch.models.atomic_folder import storage_error


@dataclass(frozen=True)
class PairScores:
    """What a network said of the candidates of each query.

    Attributes:
        scores: float32 (q, k), as of `score_candidates`.
        seconds: What it took where it was computed.
    """

    scores: NDArray[np.float32]
    seconds: float


class ScoreStore:
    """A folder of one small file for each (network, photos, candidates)."""

    def __init__(self, root: Path) -> None:
        """Keep files under `root`, which is made with the first of them."""
        self.root = root

    @staticmethod
    def key(asked: Sequence[str], candidates: NDArray[np.int64]) -> str:
        """Name what is asked: identities of the network and the photos, and the candidates."""
        hasher = hashlib.sha256(repr((list(asked), candidates.shape)).encode())
        hasher.update(np.ascontiguousarray(candidates).tobytes())
        return hasher.hexdigest()[:32]

    def find(self, key: str, shape: tuple[int, ...]) -> PairScores | None:
        """What is stored under `key`; None where nothing sound of that shape is."""
        try:
            with np.load(self._path(key), allow_pickle=False) as stored:
                scores, seconds = stored["scores"], float(stored["seconds"])
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile):
            return None
        is_sound = scores.dtype == np.float32 and scores.shape == shape and not np.isnan(scores).any()
        return PairScores(scores, seconds) if is_sound else None

    def keep(self, key: str, found: PairScores) -> None:
        """Store scores, whole or not at all; of two processes that do so either may win.

        Raises:
            StorageError: The disk is full or the folder cannot be written.
        """
        partial: Path | None = None
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=self.root)
            partial = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, scores=found.scores, seconds=np.float64(found.seconds))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path(key))
        except OSError as error:
            if partial is not None:
                partial.unlink(missing_ok=True)
            raise storage_error(self.root, error) from error

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.npz"
