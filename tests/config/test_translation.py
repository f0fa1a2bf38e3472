"""Settings of a translator's training: defaults, `--set`, the rates of epochs, and what is refused."""

from __future__ import annotations

import pytest

from vgsearch.config.translation import TranslationConfig
from vgsearch.config.translation_settings import translation_settings
from vgsearch.errors import ConfigError

NAMES = ("night", "day")


def test_defaults_are_the_authors():
    config = translation_settings([], NAMES)
    assert (config.epochs, config.decay_epochs, config.load_px, config.crop_px) == (75, 75, 512, 384)
    assert (config.lr, config.beta1, config.cycle, config.identity, config.pool_size) == (
        2e-4,
        0.5,
        10,
        0,
        50,
    )


def test_settings():
    config = translation_settings(
        ["lr=1e-3", "crop_px=96", " load_px = 112", "iterations_per_epoch=7", "iterations_per_epoch=null"],
        NAMES,
    )
    assert (config.lr, config.crop_px, config.load_px, config.iterations_per_epoch) == (1e-3, 96, 112, None)


def test_rates_by_the_authors_loop():
    config = TranslationConfig(epochs=3, decay_epochs=4, lr=1.0, latent=0.7)
    rate, latent = 1.0, 0.0
    for epoch in range(1, 8):
        assert config.learning_rate(epoch) == pytest.approx(rate)
        assert config.latent_factor(epoch) == pytest.approx(latent)
        # What their code does when an epoch is over.
        if epoch > 3:
            rate = 1 - (epoch - 3) / 4
        latent = 0.7 * epoch / 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["crop"], "--set must look like KEY=VALUE, got 'crop'"),
        (["crop="], "--set must look like KEY=VALUE"),
        (["crop_ps=9"], "--set crop_ps: no such key; nearest: crop_px"),
        (["lr=fast"], "--set lr: input should be a valid number.*got 'fast'"),
        (["lr=nan"], "--set lr: .*finite.*'nan'"),
        (["batch_size=0"], "--set batch_size: input should be greater than or equal to 1, got '0'"),
        (["crop_px=600"], "crop_px must be at most load_px, got 600 and 512"),
        (["crop_px=16", "discriminator_layers=5"], "crop_px must be at least 64 for discriminator_layers 5"),
        (["domains=a,b"], "--set domains: no such key"),
    ],
)
def test_what_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        translation_settings(settings, NAMES)


def test_all_problems_at_once():
    with pytest.raises(ConfigError) as caught:
        translation_settings(["lr=0", "beta1=2"], NAMES)
    assert len(caught.value.problems) == 2


def test_names():
    for names in (("day", "day"), ("a b", "day")):
        with pytest.raises(ConfigError, match="--names must be two names"):
            translation_settings([], names)
