"""Scoring a soup that may be thrown away: described from cached images, given up when it cannot win."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.image_cache import CachedBatches
from vgsearch.ensembling.lost_queries import LostQueries
from vgsearch.ensembling.pixel_file import PixelFile
from vgsearch.ensembling.val_plan import plan_val
from vgsearch.models.precision import Precision, autocast
from vgsearch.retrieval.device_feed import DescriptorReturn, on_device
from vgsearch.retrieval.extraction import describe_images, inferring
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_descriptors

# How often a pass asks whether it can still win.
_CHECKS = 24


@dataclass(frozen=True, eq=False)
class TriedSoup:
    """What became known of a soup.

    Attributes:
        value: The criterion in percent; where the pass ended early, what it could have reached at most.
        results: Per-query results of the criterion's splits; None where the pass ended early.
        part: How much of the images was described, 0 to 1.
        is_broken: A descriptor was not finite, so that it is worth nothing.
        is_recalibrated: Its BatchNorm statistics were taken again.
        statistics: Those statistics by tensor name.
    """

    value: float
    results: Mapping[str, RetrievalResult] | None = None
    part: float = 1.0
    is_broken: bool = False
    is_recalibrated: bool = False
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def reaches(self, floor: float) -> bool:
        """Whether it was described to the end and is at least `floor`."""
        return self.results is not None and self.value >= floor


class ValPass:
    """One pass over the splits that a criterion needs, for one network after the other.

    Nothing is written to the descriptor store: most soups are never seen again. The decoded images lie in a
    file without a name below `folder`; `close` gives the space back.
    """

    def __init__(
        self,
        sets: Mapping[str, RetrievalSet],
        criterion: Criterion,
        *,
        eval_config: EvalConfig,
        device: torch.device,
        precision: Precision,
        threads: int,
        folder: Path,
        max_cache_bytes: int,
        early_drop: bool,
        say: Callable[[str], None] = lambda line: None,
        progress: Callable[[int], None] = lambda done: None,
        on_pass: Callable[[], None] = lambda: None,
    ) -> None:
        """Plan the pass.

        Args:
            sets: The criterion's splits by the names that it knows.
            criterion: What is to be reached.
            eval_config: How images are brought to the network.
            device: Where networks are.
            precision: Number format.
            threads: Loader threads.
            folder: Below which decoded images may lie.
            max_cache_bytes: Most that they may take; 0 decodes them every time.
            early_drop: Whether a pass ends as soon as it cannot reach its floor.
            say: Told where the images do not fit.
            progress: Called with the number of images just described.
            on_pass: Called before every pass.

        Raises:
            ImageError: A header cannot be read.
            StorageError: `folder` cannot be written.
        """
        self._plan = plan_val(sets, eval_config, threads=threads)
        self._criterion = criterion
        self._eval = eval_config
        self._device = device
        self._precision = precision
        self._early_drop = early_drop
        self._progress = progress
        self._on_pass = on_pass
        slot_bytes = [step.num_bytes for step in self._plan.steps]
        self._pixels = PixelFile(folder, slot_bytes, max_bytes=max_cache_bytes, say=say)
        self._cache = CachedBatches(
            self._plan.index,
            self._plan.steps,
            self._pixels,
            threads=threads,
            pin_memory=device.type == "cuda",
        )
        self.num_described = 0
        self.num_passes = 0

    @property
    def num_images(self) -> int:
        """Images of a whole pass."""
        return len(self._plan)

    @property
    def num_decoded(self) -> int:
        """Images decoded so far, by all passes."""
        return self._cache.num_decoded

    def run(self, network: nn.Module, floor: float | None = None) -> TriedSoup:
        """Describe, search and judge; the same result as `score_sets` gives, where it comes to its end.

        Args:
            network: uint8 (b, 3, h, w) to float (b, d) of norm 1, on the device.
            floor: In percent: with `early_drop` a network that cannot reach it is given up.

        Raises:
            ImageError: An image cannot be read.
        """
        self._on_pass()
        self.num_passes += 1
        floor = floor if self._early_drop else None
        gathered = _Gathered(len(self._plan))
        returning = DescriptorReturn(self._device)
        every = max(1, len(self._plan) // _CHECKS)
        due = every
        bounds: dict[str, LostQueries] = {}
        with (
            closing(self._cache.batches()) as batches,
            inferring(network, self._device, self._precision),
            autocast(self._precision, self._device),
        ):
            for batch in on_device(batches, self._device):
                with torch.inference_mode():
                    described = describe_images(network, batch.images, batch.num_views)
                for ids, rows in returning.send(batch.ids, described):
                    self._count(gathered.put(ids, rows))
                is_due = due <= gathered.count < len(self._plan)
                if floor is not None and is_due and not gathered.is_broken:
                    due = gathered.count + every
                    bounds = bounds or self._bounds(gathered.descriptors)
                    at_most = self._at_most(bounds, gathered.is_there)
                    if at_most < floor:
                        return TriedSoup(at_most, part=gathered.count / len(self._plan))
                if gathered.is_broken:
                    return TriedSoup(0.0, part=gathered.count / len(self._plan), is_broken=True)
            for ids, rows in returning.rest():
                self._count(gathered.put(ids, rows))
        if gathered.is_broken:
            return TriedSoup(0.0, is_broken=True)
        results = self._results(gathered.descriptors)
        return TriedSoup(self._criterion.percent(results), results)

    def close(self) -> None:
        """Give the disk space back."""
        self._pixels.close()

    def _count(self, num_images: int) -> None:
        self.num_described += num_images
        self._progress(num_images)

    def _bounds(self, descriptors: NDArray[np.float32]) -> dict[str, LostQueries]:
        n = self._criterion.n
        return {split: LostQueries(planned, n, descriptors) for split, planned in self._plan.sets.items()}

    def _at_most(self, bounds: Mapping[str, LostQueries], is_there: NDArray[np.bool_]) -> float:
        """The criterion's own arithmetic on the queries that are not lost."""
        for bound in bounds.values():
            bound.update(is_there)
        return self._criterion.percent({split: bound.at_most() for split, bound in bounds.items()})

    def _results(self, descriptors: NDArray[np.float32]) -> dict[str, RetrievalResult]:
        return {
            split: score_descriptors(
                descriptors[planned.database_rows],
                descriptors[planned.query_rows],
                planned.retrieval_set,
                eval_config=self._eval,
                device=self._device,
            )
            for split, planned in self._plan.sets.items()
        }


class _Gathered:
    """The joint matrix under way; its width is known with the first batch."""

    def __init__(self, num_images: int) -> None:
        self.descriptors: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self.is_there = np.zeros(num_images, dtype=bool)
        self.count = 0
        self.is_broken = False

    def put(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> int:
        """Store rows, float32 (b, d), at `ids`; how many."""
        if self.descriptors.size == 0:
            self.descriptors = np.zeros((len(self.is_there), rows.shape[1]), dtype=np.float32)
        self.is_broken |= not np.isfinite(rows).all()
        self.descriptors[ids] = rows
        self.is_there[ids] = True
        self.count += len(ids)
        return len(ids)


Recipe = Sequence[tuple[int, float]]
"""Positions in the pot with their parts, before these are divided by their sum."""

TrySoup = Callable[[Recipe, float | None], TriedSoup]
"""Score a recipe; the second argument is what it must reach, or None to describe it to the end."""
