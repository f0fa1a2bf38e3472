"""Where soups are tried: the network, the cached images and the training images, set up and cleaned away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from vgsearch.config.search import DataConfig, EvalConfig
from vgsearch.config.soup import SoupFile
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.batch_norm import moved_layers
from vgsearch.ensembling.calibration import CalibrationImages
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.soup_anchor import Anchor
from vgsearch.ensembling.soup_maker import SoupMaker
from vgsearch.ensembling.soup_mixing import LineMixing, MeanMixing, Mixing, StockMixing
from vgsearch.ensembling.soup_pot import Pot
from vgsearch.ensembling.soup_report import SoupCost, Watch
from vgsearch.ensembling.val_pass import Recipe, TriedSoup, ValPass
from vgsearch.errors import DataError
from vgsearch.models.checkpoint import MODEL_FILE, load_network
from vgsearch.models.network import DescriptorNetwork
from vgsearch.models.precision import Precision


@dataclass(frozen=True)
class SoupSetup:
    """Where and how soups are tried.

    Attributes:
        sets: The criterion's splits, by the names that it knows.
        data: Gives the training images for BatchNorm.
        eval_config: How images are brought to the network.
        device: Where it runs.
        precision: Number format.
        threads: Loader threads.
        folder: Below which decoded images lie meanwhile.
        on_pass: Called before every pass over `sets`.
        watch: Whom to tell.
    """

    sets: Mapping[str, RetrievalSet]
    data: DataConfig
    eval_config: EvalConfig
    device: torch.device
    precision: Precision
    threads: int
    folder: Path
    on_pass: Callable[[], None]
    watch: Watch


class WatchedMaker:
    """A maker that tells of every soup that it tries."""

    def __init__(
        self,
        maker: SoupMaker,
        val_pass: ValPass,
        calibration: CalibrationImages | None,
        mixing: Mixing,
        pot: Pot,
        watch: Watch,
        passes_each: int,
    ) -> None:
        """Join the parts; see `open_maker`."""
        self._maker = maker
        self._val_pass = val_pass
        self._calibration = calibration
        self._mixing = mixing
        self._pot = pot
        self._watch = watch
        self._passes_each = passes_each

    @property
    def images_each(self) -> int:
        """Images that one soup is shown at most."""
        return self._passes_each * self._val_pass.num_images

    @property
    def pass_images(self) -> int:
        """Images of one pass."""
        return self._val_pass.num_images

    @property
    def tries_both(self) -> bool:
        """Whether each soup takes two passes: with averaged BatchNorm statistics and with new ones."""
        return self._passes_each == 2

    def try_soup(self, recipe: Recipe, floor: float | None) -> TriedSoup:
        """See `SoupMaker.try_soup`."""
        before = self._val_pass.num_described
        tried = self._maker.try_soup(recipe, floor)
        # What it did not need is no longer expected.
        self._watch.expect(self._val_pass.num_described - before - self.images_each)
        outcome = f"{tried.value:.1f}" if tried.results else f"at most {tried.value:.1f}, given up"
        if tried.is_broken:
            outcome = "its descriptors are not finite"
        names = " + ".join(self._pot.candidates[i].version.version for i, _ in recipe)
        self._watch.tried(f"tried versions {names}: {outcome}")
        return tried

    def network_of(self, recipe: Recipe, tried: TriedSoup) -> DescriptorNetwork:
        """See `SoupMaker.network_of`."""
        return self._maker.network_of(recipe, tried)

    def anchor_share(self, network: DescriptorNetwork) -> float | None:
        """Of a model stock that was just made, how much of the anchor is in it; None of another soup."""
        return self._mixing.anchor_share(network) if isinstance(self._mixing, StockMixing) else None

    def cost(self) -> SoupCost:
        """What was spent so far."""
        return SoupCost(
            num_passes=self._val_pass.num_passes,
            pass_images=self._val_pass.num_images,
            described=self._val_pass.num_described,
            decoded=self._val_pass.num_decoded,
            num_calibrations=self._maker.num_calibrations,
            calibration_images=0 if self._calibration is None else self._calibration.num_images,
            described_stored=0,
        )


@contextmanager
def open_maker(
    pot: Pot, settings: SoupFile, criterion: Criterion, setup: SoupSetup, anchor: Anchor | None = None
) -> Iterator[WatchedMaker]:
    """Set up for the soups of a pot; what lies on the disk meanwhile is gone at the end.

    Args:
        pot: At least one ingredient.
        settings: The method and what it needs.
        criterion: What soups are scored by.
        setup: Where and how.
        anchor: Of a model stock.

    Raises:
        CheckpointError: An ingredient is damaged.
        DataError: `recalibrate_bn: on`, and the training images are not there.
        ImageError: A header cannot be read.
        StorageError: The folder cannot be written.
    """
    files = [candidate.folder / MODEL_FILE for candidate in pot.candidates]
    network = load_network(pot.candidates[0].folder, setup.device)
    mixing = _mixing(settings, files, anchor)
    max_bytes = int(settings.image_cache_gb * 1e9)
    with ExitStack() as stack:
        calibration = None
        if settings.recalibrate_bn != "off":
            calibration = _calibration(pot, settings, setup, mixing, network, max_bytes)
        if calibration is not None:
            stack.callback(calibration.close)
            max_bytes = max(0, max_bytes - calibration.num_bytes)
        val_pass = ValPass(
            setup.sets,
            criterion,
            eval_config=setup.eval_config,
            device=setup.device,
            precision=setup.precision,
            threads=setup.threads,
            folder=setup.folder,
            max_cache_bytes=max_bytes,
            early_drop=settings.early_drop,
            say=setup.watch.say,
            progress=setup.watch.progress,
            on_pass=setup.on_pass,
        )
        stack.callback(val_pass.close)
        maker = SoupMaker(
            network,
            mixing,
            val_pass,
            recalibrate_bn=settings.recalibrate_bn,
            calibration=calibration,
            device=setup.device,
            precision=setup.precision,
        )
        passes_each = 2 if calibration is not None and settings.recalibrate_bn == "auto" else 1
        yield WatchedMaker(maker, val_pass, calibration, mixing, pot, setup.watch, passes_each)


def _mixing(settings: SoupFile, files: list[Path], anchor: Anchor | None) -> Mixing:
    if settings.method == "interpolate":
        return LineMixing(files)
    if settings.method == "model_stock" and anchor is not None:
        return StockMixing(files, anchor.weights)
    return MeanMixing(files)


def _calibration(
    pot: Pot, settings: SoupFile, setup: SoupSetup, mixing: Mixing, network: DescriptorNetwork, max_bytes: int
) -> CalibrationImages | None:
    """Training images for BatchNorm; None, and a word about it, where there is nothing to do with them."""
    everyone = [(i, 1.0) for i in range(len(pot.candidates))]
    if not moved_layers(network, mixing.parts(everyone)):
        setup.watch.say(
            "no BatchNorm statistics differ between the ingredients: there are none to take again"
        )
        return None
    try:
        index = index_folder(Path(setup.data.train))
    except DataError as error:
        if settings.recalibrate_bn == "on":
            raise DataError(
                f"recalibrate_bn: on needs the training images ({error}); set it to off"
            ) from error
        setup.watch.say(f"BatchNorm statistics are averaged and not taken again: {error}")
        return None
    calibration = CalibrationImages(
        index,
        side_px=pot.candidates[0].spec.trial.image_px,
        num_images=settings.bn_images,
        seed=settings.seed,
        threads=setup.threads,
        folder=setup.folder,
        max_bytes=max_bytes,
        say=setup.watch.say,
    )
    what = "also" if settings.recalibrate_bn == "auto" else "always"
    setup.watch.say(
        f"BatchNorm statistics are {what} taken again over {calibration.num_images} of {len(index)} "
        "training images"
    )
    return calibration
