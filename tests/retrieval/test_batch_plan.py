from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.retrieval.batch_plan import PIXELS_PER_IMAGE, plan_batches

_SIDES = st.sampled_from([8, 480, 640, 6000])


@given(st.lists(st.tuples(_SIDES, _SIDES), max_size=60), st.integers(1, 16))
def test_every_image_once_in_batches_of_one_size(sizes: list[tuple[int, int]], batch_size: int) -> None:
    plan = list(plan_batches(np.array(sizes, dtype=np.int64).reshape(-1, 2), batch_size))
    assert sorted(int(i) for batch in plan for i in batch.ids) == list(range(len(sizes)))
    for batch in plan:
        assert {sizes[i] for i in batch.ids} == {(batch.height_px, batch.width_px)}
        assert list(batch.ids) == sorted(batch.ids)
        assert 1 <= len(batch.ids) <= batch_size
        pixels = len(batch.ids) * batch.height_px * batch.width_px
        assert len(batch.ids) == 1 or pixels <= batch_size * PIXELS_PER_IMAGE
        assert batch.num_bytes == 3 * pixels
    areas = [batch.height_px * batch.width_px for batch in plan]
    assert areas == sorted(areas, reverse=True)


def test_sizes_that_alternate_fill_whole_batches() -> None:
    sizes_px = np.array([[480, 640], [640, 480]] * 32)
    assert [len(batch.ids) for batch in plan_batches(sizes_px, 16)] == [16] * 4


def test_huge_photos_go_alone_whatever_the_batch_size() -> None:
    assert [len(batch.ids) for batch in plan_batches(np.array([[6000, 8000]] * 3), 16)] == [1, 1, 1]
