"""From a pot to the weights of its soup: the method chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.config.soup import SoupFile
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.soup_anchor import Anchor
from vgsearch.ensembling.soup_choice import Choice
from vgsearch.ensembling.soup_greedy import greedy_soup, weighted_soup
from vgsearch.ensembling.soup_line import best_on_line
from vgsearch.ensembling.soup_pot import Pot
from vgsearch.ensembling.soup_report import SoupCost
from vgsearch.ensembling.soup_setup import SoupSetup, open_maker
from vgsearch.ensembling.soup_uniform import uniform_soup
from vgsearch.ensembling.val_pass import TriedSoup, TrySoup
from vgsearch.models.checkpoint import load_network
from vgsearch.models.network import DescriptorNetwork


@dataclass(frozen=True, eq=False)
class ChosenSoup:
    """A soup's weights and how they were found.

    Attributes:
        choice: Recipe and steps.
        network: With its weights, on the device.
        anchor_share: Of a model stock, how much of the anchor is in it, the mean over weights; else None.
        cost: What it took.
    """

    choice: Choice
    network: DescriptorNetwork
    anchor_share: float | None
    cost: SoupCost


def choose_soup(
    pot: Pot, settings: SoupFile, criterion: Criterion, setup: SoupSetup, anchor: Anchor | None
) -> ChosenSoup:
    """Run the method of `settings` over a pot; a pot of one needs no pass at all.

    Args:
        pot: At least one ingredient.
        settings: The method and its keys.
        criterion: What to choose by.
        setup: Where and how.
        anchor: Of a model stock with at least two ingredients.

    Raises:
        VgsearchError: As `open_maker`; or an image cannot be read.
    """
    if len(pot.candidates) == 1:
        network = load_network(pot.candidates[0].folder, setup.device)
        choice = Choice(((0, 1.0),), pot.singles[0], uniform_soup(pot.singles, _no_try).steps)
        return ChosenSoup(choice, network, None, SoupCost(0, 0, 0, 0, 0, 0, 0))
    with open_maker(pot, settings, criterion, setup, anchor) as maker:
        setup.watch.expect(_most_soups(settings, len(pot.candidates)) * maker.images_each)
        choice = _choose(settings, pot.singles, maker.try_soup)
        network = maker.network_of(choice.recipe, choice.tried)
        return ChosenSoup(choice, network, maker.anchor_share(network), maker.cost())


def _most_soups(settings: SoupFile, count: int) -> int:
    """How many soups a method tries at most."""
    match settings.method:
        case "greedy":
            return count - 1
        case "greedy_weighted":
            return (count - 1) * len(settings.shares)
        case "interpolate":
            return sum(0 < alpha < 1 for alpha in settings.alphas)
        case "uniform" | "model_stock":
            return 1


def _choose(settings: SoupFile, singles: Sequence[TriedSoup], try_soup: TrySoup) -> Choice:
    match settings.method:
        case "greedy":
            return greedy_soup(singles, try_soup)
        case "greedy_weighted":
            return weighted_soup(singles, try_soup, settings.shares)
        case "interpolate":
            return best_on_line(singles, try_soup, settings.alphas)
        case "uniform" | "model_stock":
            return uniform_soup(singles, try_soup)


def _no_try(*_: object) -> TriedSoup:
    raise AssertionError("a single model is not tried")
