from __future__ import annotations

import pytest

from vgsearch.training.domain_accuracy import accuracy_metrics


def test_a_single_folder() -> None:
    assert accuracy_metrics([""], [0.9, 0.5]) == {
        "train/domain_accuracy": pytest.approx(70),
        "train/domain_chance": 50,
    }


def test_domains_with_names() -> None:
    assert accuracy_metrics(["night", "rain"], [0.9, 0.6, 0.0]) == {
        "train/domain_accuracy": pytest.approx(50),
        "train/domain_chance": pytest.approx(100 / 3),
        "train/domain_accuracy_source": pytest.approx(90),
        "train/domain_accuracy_night": pytest.approx(60),
        "train/domain_accuracy_rain": 0,
    }
