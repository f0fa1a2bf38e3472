"""The losses number by number."""

import torch

from vgsearch.rerank.losses import consistency_loss, mirrored, self_supervised_loss


def mean_square(a, b):
    return (
        sum((x - y) ** 2 for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)) / a.numel()
    )


def test_self_supervised():
    there, back, first, second = (
        torch.rand(3, 8, 2),
        torch.rand(3, 8, 2),
        torch.rand(3, 4, 2),
        torch.rand(3, 4, 2),
    )
    expected = (
        mean_square(there[:, :4], first)
        + mean_square(there[:, 4:], second)
        + mean_square(back[:, :4], second)
        + mean_square(back[:, 4:], first)
    )
    assert abs(self_supervised_loss(there, back, first, second).item() - expected) < 1e-6


def test_mirrored_twice_is_itself_and_once_is_what_a_mirror_shows():
    corners = torch.tensor([[-0.9, -1.0], [0.8, -0.7], [0.7, 0.6], [-0.5, 0.4]]).repeat(2, 1)[None]
    torch.testing.assert_close(mirrored(mirrored(corners)), corners)
    # In the mirror the top right corner at x = 0.8 is the top left one, at -0.8.
    assert mirrored(corners)[0, 0].tolist() == [-corners[0, 1, 0].item(), corners[0, 1, 1].item()]


def test_predictions_that_agree_are_consistent():
    back = torch.rand(2, 8, 2)
    there = torch.cat([back[:, 4:], back[:, :4]], dim=1)
    assert consistency_loss(there, back, mirrored(there), mirrored(back)).item() < 1e-12


def test_consistency_and_its_gradient():
    found = [torch.rand(2, 8, 2, requires_grad=True) for _ in range(4)]
    loss = consistency_loss(*found)
    alike = [
        torch.cat([found[0][:, 4:], found[0][:, :4]], dim=1),
        found[1],
        mirrored(torch.cat([found[2][:, 4:], found[2][:, :4]], dim=1)),
        mirrored(found[3]),
    ]
    centre = sum(each.detach() for each in alike) / 4
    assert abs(loss.item() - sum(mean_square(each.detach(), centre) for each in alike)) < 1e-6
    loss.backward()
    # The mean is a target and gets no gradient, so each prediction is drawn straight to it.
    torch.testing.assert_close(found[1].grad, 2 * (found[1] - centre).detach() / found[1].numel())
