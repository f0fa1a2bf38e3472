from __future__ import annotations

import pytest
import torch

from vgsearch.errors import CellsError, ConfigError, DivergedError, ImageError, VgsearchError
from vgsearch.models.exchange import ExchangeError, exchanging
from vgsearch.training.rank_messages import RankReply


def _sent(error: Exception) -> RankReply:
    line = RankReply.of_error(error).to_line()
    assert "\n" not in line
    return RankReply.from_line(line)


@pytest.mark.parametrize("kind", [CellsError, DivergedError, ImageError])
def test_our_own_errors_arrive_as_they_were(kind: type[VgsearchError]) -> None:
    error = _sent(kind("a photo, so to say: é\nsecond line")).to_error(1)
    assert type(error) is kind
    assert str(error) == "a photo, so to say: é\nsecond line"


def test_all_problems_of_a_configuration_arrive() -> None:
    error = _sent(ConfigError(["first", "second"])).to_error(1)
    assert isinstance(error, ConfigError)
    assert error.problems == ["first", "second"]


@pytest.mark.parametrize("kind", [MemoryError, torch.cuda.OutOfMemoryError])
def test_memory_errors_keep_their_kind_and_name_the_process(kind: type[Exception]) -> None:
    error = _sent(kind("tried to allocate 2 GiB")).to_error(3)
    assert isinstance(error, kind)
    assert str(error) == "process 3 of the trial: tried to allocate 2 GiB"


def test_a_bug_arrives_with_its_traceback() -> None:
    try:
        _ = {}["absent"]
    except KeyError as bug:
        error = _sent(bug).to_error(2)
    assert type(error) is RuntimeError
    assert str(error) == "process 2 of the trial: KeyError: 'absent'"
    assert '_ = {}["absent"]' in error.__notes__[0]


def test_a_broken_exchange_is_somebody_elses_fault() -> None:
    with (
        pytest.raises(ExchangeError, match="gradients could not be exchanged") as raised,
        exchanging("gradients"),
    ):
        raise RuntimeError("Connection closed by peer\nlong story")
    assert "long story" not in str(raised.value)
    assert _sent(raised.value).exchange
    assert not _sent(DivergedError("loss")).exchange
