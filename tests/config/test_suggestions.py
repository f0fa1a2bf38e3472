from __future__ import annotations

from vgsearch.config.suggestions import nearest, nearest_hint


def test_nearest_ignores_case_and_dashes():
    valid = ["batch_size", "epochs", "lr"]
    assert nearest("Batch-Size", valid) == "batch_size"
    assert nearest("epocs", valid) == "epochs"
    assert nearest("zzz", valid) is None


def test_hint():
    assert nearest_hint("scael", ["scale", "margin"]) == "; nearest: scale"
    assert nearest_hint("zzz", ["scale"]) == ""
    assert nearest_hint("zzz", []) == ""
