"""Making soups and trying them: one network whose weights are overwritten again and again."""

from __future__ import annotations

from typing import Literal

import torch

from vgsearch.ensembling.averaging import overwrite_weights
from vgsearch.ensembling.batch_norm import copy_statistics, moved_layers, put_statistics, recalibrate
from vgsearch.ensembling.calibration import CalibrationImages
from vgsearch.ensembling.soup_mixing import Mixing
from vgsearch.ensembling.val_pass import Recipe, TriedSoup, ValPass
from vgsearch.models.network import DescriptorNetwork
from vgsearch.models.precision import Precision

RecalibrateBn = Literal["auto", "on", "off"]


class SoupMaker:
    """Makes a recipe's network and scores it; memory holds this network and one running sum."""

    def __init__(
        self,
        network: DescriptorNetwork,
        mixing: Mixing,
        val_pass: ValPass,
        *,
        recalibrate_bn: RecalibrateBn,
        calibration: CalibrationImages | None,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """Take over `network`.

        Args:
            network: On the device; its weights will be overwritten.
            mixing: How recipes become weights.
            val_pass: How soups are scored.
            recalibrate_bn: Whether BatchNorm statistics are taken again; `auto` tries both and keeps what val
                prefers, the averaged ones where both are equal.
            calibration: What they are taken from; None leaves them as they are.
            device: Where the network is.
            precision: Number format.
        """
        self._network = network
        self._mixing = mixing
        self._val_pass = val_pass
        self._recalibrate_bn = recalibrate_bn
        self._calibration = calibration
        self._device = device
        self._precision = precision
        self.num_calibrations = 0

    def try_soup(self, recipe: Recipe, floor: float | None = None) -> TriedSoup:
        """Make a recipe's soup and score it.

        Args:
            recipe: At least one ingredient.
            floor: What it must reach, in percent; None scores it to the end.

        Returns:
            The better of both ways where `auto` tries two.

        Raises:
            CheckpointError: An ingredient cannot be read.
            ImageError: An image cannot be read.
        """
        overwrite_weights(self._mixing(recipe), self._network)
        layers = self._moved(recipe)
        plain: TriedSoup | None = None
        if not layers or self._recalibrate_bn != "on":
            plain = self._val_pass.run(self._network, floor)
        if not layers:
            assert plain is not None
            return plain
        if plain is not None and plain.results is not None:
            # The averaged statistics stay where both are equal, so less than that will not do.
            floor = plain.value if floor is None else max(floor, plain.value)
        statistics = self._recalibrated(layers)
        again = self._val_pass.run(self._network, floor)
        again = TriedSoup(
            again.value,
            again.results,
            part=again.part,
            is_broken=again.is_broken,
            is_recalibrated=True,
            statistics=statistics,
        )
        return again if plain is None or _is_better(again, plain) else plain

    def network_of(self, recipe: Recipe, tried: TriedSoup) -> DescriptorNetwork:
        """The network of a recipe, with the BatchNorm statistics that it was tried with.

        Raises:
            CheckpointError: An ingredient cannot be read.
        """
        overwrite_weights(self._mixing(recipe), self._network)
        put_statistics(self._network, tried.statistics)
        return self._network

    def _moved(self, recipe: Recipe) -> tuple[str, ...]:
        if self._recalibrate_bn == "off" or self._calibration is None:
            return ()
        return moved_layers(self._network, self._mixing.parts(recipe))

    def _recalibrated(self, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        assert self._calibration is not None
        recalibrate(
            self._network,
            layers,
            self._calibration.batches(),
            device=self._device,
            precision=self._precision,
        )
        self.num_calibrations += 1
        return copy_statistics(self._network, layers)


def _is_better(again: TriedSoup, plain: TriedSoup) -> bool:
    """Whether new statistics win: a whole result over one that was given up, then the higher value."""
    if (again.results is None) != (plain.results is None):
        return plain.results is None
    return again.value > plain.value
