from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses as reference

from vgsearch.config.losses import ArcFaceConfig, CombinedConfig, CosFaceConfig, LossConfig, SphereFaceConfig
from vgsearch.models.margin_head import MarginHead, Margins, apply_margins

COSFACE = CosFaceConfig(name="cosface", scale=30.0, margin_cos=0.4)
ARCFACE = ArcFaceConfig(name="arcface", scale=40.0, margin_rad=0.5)
SPHEREFACE = SphereFaceConfig(name="sphereface", scale=30.0, margin_mul=1.7)
COMBINED = CombinedConfig(name="combined", scale=20.0, margin_mul=1.2, margin_rad=0.3, margin_cos=0.2)
LOSSES = [COSFACE, ARCFACE, SPHEREFACE, COMBINED]


def plain_target(theta: float, loss: LossConfig) -> float:
    """The textbook formulas, one number at a time."""
    if isinstance(loss, CosFaceConfig):
        return math.cos(theta) - loss.margin_cos
    if isinstance(loss, ArcFaceConfig):
        if theta + loss.margin_rad <= math.pi:
            return math.cos(theta + loss.margin_rad)
        return math.cos(theta) - loss.margin_rad * math.sin(loss.margin_rad)
    if isinstance(loss, SphereFaceConfig):
        k = int(loss.margin_mul * theta / math.pi)
        return (-1) ** k * math.cos(loss.margin_mul * theta) - 2 * k
    assert loss.margin_mul * theta + loss.margin_rad <= math.pi, "the plain formula ends here"
    return math.cos(loss.margin_mul * theta + loss.margin_rad) - loss.margin_cos


def margins_at(theta: float, margins: Margins) -> float:
    return apply_margins(torch.tensor(math.cos(theta), dtype=torch.float64), margins).item()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_logits_equal_plain_formulas_one_by_one(loss: LossConfig) -> None:
    torch.manual_seed(0)
    head = MarginHead(6, 9, loss, seed=1).double()
    descriptors, labels = torch.randn(40, 6, dtype=torch.float64), torch.randint(0, 9, (40,))
    logits = head(descriptors, labels)
    judged = 0
    for i, label in enumerate(labels.tolist()):
        for j in range(9):
            dot = sum(a * b for a, b in zip(descriptors[i].tolist(), head.weight[j].tolist(), strict=True))
            cosine = dot / (math.hypot(*descriptors[i].tolist()) * math.hypot(*head.weight[j].tolist()))
            theta = math.acos(cosine)
            if j != label:
                expected = cosine
            elif isinstance(loss, CombinedConfig) and 1.2 * theta + 0.3 > math.pi:
                continue
            else:
                expected = plain_target(theta, loss)
            judged += 1
            assert logits[i, j].item() == pytest.approx(loss.scale * expected, abs=1e-9)
    assert judged > 340


@pytest.mark.parametrize("loss", [ARCFACE, SPHEREFACE], ids=lambda loss: loss.name)
@pytest.mark.parametrize("theta", [1e-3, 0.7, 2.0, 2.5, 2.7, 3.0, 3.14])
def test_target_on_all_of_zero_to_pi(loss: LossConfig, theta: float) -> None:
    assert margins_at(theta, Margins.of(loss)) == pytest.approx(plain_target(theta, loss), abs=1e-7)


@given(theta=st.floats(0.001, 3.14), rad=st.floats(0, 3.1), mul=st.floats(1, 8), cos=st.floats(0, 1.9))
def test_combined_with_one_angular_margin_is_the_loss_of_that_name(
    theta: float, rad: float, mul: float, cos: float
) -> None:
    arcface = margins_at(theta, Margins(rad=rad))
    sphereface = margins_at(theta, Margins(mul=mul))
    assert margins_at(theta, Margins(1.0, rad, cos)) == pytest.approx(arcface - cos)
    assert margins_at(theta, Margins(mul, 0.0, cos)) == pytest.approx(sphereface - cos)
    assert margins_at(theta, Margins(1.0, 0.0, cos)) == pytest.approx(math.cos(theta) - cos)


@given(
    angles=st.tuples(st.floats(0.001, 3.14), st.floats(0.001, 3.14)),
    mul=st.floats(1, 8),
    rad=st.floats(0, 2.3),
    cos=st.floats(0, 1.9),
)
def test_target_never_rises_with_the_angle(
    angles: tuple[float, float], mul: float, rad: float, cos: float
) -> None:
    margins = Margins(mul, rad, cos)
    near, far = sorted(angles)
    assert margins_at(near, margins) >= margins_at(far, margins) - 1e-6


@given(mul=st.floats(1.01, 8), rad=st.floats(0, 3.1), data=st.data())
def test_target_is_continuous_where_the_angle_folds(mul: float, rad: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, int(mul)))
    fold = k * math.pi / mul
    if fold < math.pi - 1e-3:
        before, after = (margins_at(fold + step, Margins(mul, rad)) for step in (-1e-7, 1e-7))
        assert before == pytest.approx(after, abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_gradients_equal_finite_differences(loss: LossConfig) -> None:
    torch.manual_seed(2)
    head = MarginHead(4, 5, loss, seed=0).double()
    descriptors = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (7,))

    def logits(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(head, {"weight": weight}, (x, labels))

    assert torch.autograd.gradcheck(logits, (descriptors, head.weight))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_finite_on_and_against_the_prototype(loss: LossConfig, sign: float) -> None:
    head = MarginHead(8, 3, loss, seed=0)
    descriptors = (sign * head.weight.detach()[:2] * 7.0).requires_grad_()
    value = F.cross_entropy(head(descriptors, torch.tensor([0, 1])), torch.tensor([0, 1]))
    value.backward()
    assert descriptors.grad is not None
    assert head.weight.grad is not None
    assert torch.isfinite(value)
    assert torch.isfinite(descriptors.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_cosface_equals_pytorch_metric_learning() -> None:
    _compare(COSFACE, reference.CosFaceLoss(num_classes=12, embedding_size=16, margin=0.4, scale=30.0))


def test_arcface_equals_pytorch_metric_learning() -> None:
    degrees = math.degrees(ARCFACE.margin_rad)
    _compare(ARCFACE, reference.ArcFaceLoss(num_classes=12, embedding_size=16, margin=degrees, scale=40.0))


def _compare(loss: LossConfig, theirs: torch.nn.Module) -> None:
    torch.manual_seed(4)
    head = MarginHead(16, 12, loss, seed=0).double()
    with torch.no_grad():
        theirs.double().W.copy_(head.weight.t())
    descriptors = F.normalize(torch.randn(64, 16, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 12, (64,))
    our_value = F.cross_entropy(head(descriptors, labels), labels)
    their_value = theirs(descriptors, labels)
    torch.testing.assert_close(our_value, their_value)
    (ours,) = torch.autograd.grad(our_value, descriptors)
    (expected,) = torch.autograd.grad(their_value, descriptors)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", [ARCFACE, SPHEREFACE, COMBINED], ids=lambda loss: loss.name)
def test_detached_margin_keeps_the_value_and_takes_the_plain_gradient(loss: LossConfig) -> None:
    detached = loss.model_copy(update={"detach_margin": True})
    descriptors = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 4, (8,))
    whole, cut = (MarginHead(5, 4, option, seed=0).double() for option in (loss, detached))
    torch.testing.assert_close(cut(descriptors, labels), whole(descriptors, labels))
    (gradient,) = torch.autograd.grad(cut(descriptors, labels).sum(), descriptors)
    plain = loss.scale * F.normalize(descriptors) @ F.normalize(whole.weight).t()
    (expected,) = torch.autograd.grad(plain.sum(), descriptors)
    torch.testing.assert_close(gradient, expected)


def test_logits_are_computed_in_float32_under_autocast() -> None:
    head = MarginHead(32, 20, ARCFACE, seed=0)
    descriptors, labels = F.normalize(torch.randn(4, 32)), torch.tensor([0, 1, 2, 3])
    expected = head(descriptors, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(descriptors, labels)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected)


@pytest.mark.usefixtures("unchanged_global_draws")
def test_prototypes_are_xavier_from_the_seed_alone() -> None:
    first, again, other = (MarginHead(64, 300, COSFACE, seed=seed).weight for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    bound = math.sqrt(6 / (300 + 64))
    assert first.abs().max() <= bound
    assert first.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
