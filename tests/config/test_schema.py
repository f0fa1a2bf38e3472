from __future__ import annotations

from typing import Literal

from vgsearch.config.document import SearchFile
from vgsearch.config.losses import ArcFaceConfig, LossConfig
from vgsearch.config.schema import Shape, field_shape, keys_elsewhere, shape_of, trace
from vgsearch.config.trial import BackboneConfig, DomainConfig, TrialConfig


def test_shape_looks_through_optional_and_annotated():
    assert shape_of(int | None) == Shape((int,))
    assert shape_of(LossConfig).discriminator == "name"
    assert shape_of(LossConfig | None).discriminator == "name"
    assert field_shape(TrialConfig, "loss").names() == ["cosface", "arcface", "sphereface", "combined"]
    assert field_shape(TrialConfig, "precision").literals() == ["auto", "fp32", "bf16", "fp16"]
    assert field_shape(TrialConfig, "nope") == Shape(())


def test_model_for_a_mapping():
    assert field_shape(TrialConfig, "loss").model_for({"name": "arcface"}) is ArcFaceConfig
    assert field_shape(TrialConfig, "loss").model_for({"name": "x"}) is None
    assert field_shape(TrialConfig, "loss").model_for({}) is None
    assert field_shape(TrialConfig, "backbone").model_for({}) is BackboneConfig
    assert field_shape(TrialConfig, "domain").model_for({}) is DomainConfig
    assert field_shape(TrialConfig, "lr").model_for({}) is None


def test_trace_leaves_out_labels_that_no_user_wrote():
    def keys(*location):
        return trace(SearchFile, location).keys

    assert keys("trial", "loss", "cosface", "scale") == ("trial", "loss", "scale")
    assert keys("trial", "loss", "cosface", "cosface") == ("trial", "loss", "cosface")
    assert keys("trial", "backbone", "str") == ("trial", "backbone")
    assert keys("trial", "backbone", "BackboneConfig", "name") == ("trial", "backbone", "name")
    assert keys("data", "val", "dict[str,str]", "str") == ("data", "val", "str")
    assert keys("data", "tests", "x") == ("data", "tests", "x")
    assert keys("trial", "domain", "grl_alpha") == ("trial", "domain", "grl_alpha")


def test_trace_knows_the_owner_and_the_type():
    spot = trace(SearchFile, ("trial", "loss", "arcface", "margin_cos"))
    assert spot.owner is ArcFaceConfig
    assert trace(SearchFile, ("trial", "precision")).shape.members == (
        Literal["auto", "fp32", "bf16", "fp16"],
    )
    assert trace(SearchFile, ("trial", "backbone", "str")).shape.members == (str, BackboneConfig)


def test_keys_elsewhere():
    assert keys_elsewhere(SearchFile, "n_startup") == [
        "search.sampler.n_startup",
        "search.scheduler.n_startup",
    ]
    assert keys_elsewhere(SearchFile, "margin_rad") == ["trial.loss.margin_rad"]
    assert keys_elsewhere(SearchFile, "nope") == []
