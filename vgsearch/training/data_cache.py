"""The data of a trial, kept in the process: reused workers train many trials on the same folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vgsearch.config.search import DataConfig
from vgsearch.config.trial import CellsConfig, TrialConfig
from vgsearch.data.cells import CellGroup, assign_groups
from vgsearch.data.index import ImageIndex, index_folder, join_indexes
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.data.training_set import require_styles
from vgsearch.errors import CellsError, DataError


@dataclass(frozen=True)
class TrialData:
    """What a trial trains and selects on.

    Attributes:
        train: index of the training photos.
        groups: the CosPlace groups that take turns, in order.
        val: selection splits by name ("" for the single unnamed one).
        target: index of the unlabelled photos of all target domains, domain after domain, where the trial
            adapts to any.
        target_sizes: how many photos each of them has, in the order of `data.target_domains`.
        styles: the same photos, where training images take their style.
    """

    train: ImageIndex
    groups: list[CellGroup]
    val: dict[str, RetrievalSet]
    target: ImageIndex | None
    target_sizes: tuple[int, ...] = ()
    styles: ImageIndex | None = None


def load_trial_data(data: DataConfig, trial: TrialConfig, *, with_val: bool = True) -> TrialData:
    """Index the folders of a trial, or take them from this process's cache.

    Args:
        data: the folders, absolute.
        trial: gives cells, batch size and target domain.
        with_val: False leaves out the selection splits, for a process that does not score.

    Raises:
        DataError: a folder is missing or empty, names carry no coordinates, no class is left, a group has
            fewer classes than a batch, a split has no positive, or `trial.domain` or
            `trial.augment.fda_beta` is set without `data.target_domain`.
    """
    groups = _groups(data.train, trial.cells)
    # Epoch by epoch the groups take turns: find out now, not when the smallest one's turn comes.
    for number, group in enumerate(groups[: trial.epochs]):
        if group.num_classes < trial.batch_size:
            raise CellsError(
                f"group {number} of {data.train} has {group.num_classes} classes, too few for one batch of "
                f"{trial.batch_size}: lower trial.batch_size or trial.cells.min_images (now "
                f"{trial.cells.min_images}), or trial.cells.groups_across for fewer, larger groups"
            )
    targets = _targets(data, trial)
    return TrialData(
        train=_index(data.train),
        groups=groups,
        val=load_val_sets(data) if with_val else {},
        target=join_indexes(targets) if targets else None,
        target_sizes=tuple(map(len, targets)),
        styles=_styles(data, trial),
    )


def load_val_sets(data: DataConfig) -> dict[str, RetrievalSet]:
    """The selection splits by name.

    Raises:
        DataError: as `load_retrieval_set`.
    """
    return {
        split: load_split(folder, data.positive_distance_m, split or "val")
        for split, folder in data.val_splits.items()
    }


@lru_cache(maxsize=16)
def load_split(folder: str, positive_distance_m: float, name: str) -> RetrievalSet:
    """One retrieval set under the name by which scores are reported.

    Raises:
        DataError: as `load_retrieval_set`.
    """
    return load_retrieval_set(Path(folder), positive_distance_m, name=name)


def clear_data_cache() -> None:
    """Forget every folder: the next trial looks at the disk again."""
    for cached in (_index, _groups, load_split):
        cached.cache_clear()


@lru_cache(maxsize=16)
def _index(folder: str) -> ImageIndex:
    return index_folder(Path(folder))


@lru_cache(maxsize=8)
def _groups(folder: str, cells: CellsConfig) -> list[CellGroup]:
    return assign_groups(_index(folder), cells)


def _targets(data: DataConfig, trial: TrialConfig) -> list[ImageIndex]:
    # The inline placement reverses the place loss itself and needs no second domain.
    if trial.domain is None or trial.domain.placement == "inline":
        return []
    if data.target_domain is None:
        raise DataError(
            "trial.domain needs photos of the target domain: set data.target_domain to their folder, or "
            "trial.domain to null"
        )
    return _target_indexes(data)


def _styles(data: DataConfig, trial: TrialConfig) -> ImageIndex | None:
    if not trial.augment.takes_styles:
        return None
    photos = _target_indexes(data)
    return require_styles(trial, join_indexes(photos) if photos else None)


def _target_indexes(data: DataConfig) -> list[ImageIndex]:
    return [_index(folder) for folder in data.target_domains.values()]
