import numpy as np

from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.finale import FinalScores, read_scores, write_scores


def result(name, ranks):
    return RetrievalResult(name, np.array(ranks, np.int32), num_without_positive=0, stamp="stamp")


def test_kept_scores_are_read_back_split_by_split(tmp_path):
    scores = FinalScores(
        tests={"day": result("day", [0, -1]), "night": result("night", [3])},
        untrained={"": result("val", [-1, 0, 7])},
    )
    write_scores(tmp_path / "finale", scores)
    kept = read_scores(tmp_path / "finale")
    for part in ("tests", "untrained"):
        before, after = getattr(scores, part), getattr(kept, part)
        assert set(before) == set(after)
        for split in before:
            assert after[split].to_npz_bytes() == before[split].to_npz_bytes()


def test_nothing_kept_is_nothing(tmp_path):
    assert read_scores(tmp_path / "finale") is None


def test_damaged_scores_are_made_again(tmp_path):
    scores = FinalScores(tests={"day": result("day", [0])}, untrained={})
    write_scores(tmp_path / "finale", scores)
    (tmp_path / "finale" / "tests" / "day.npz").write_bytes(b"torn")
    assert read_scores(tmp_path / "finale") is None
    write_scores(tmp_path / "finale", scores)
    assert read_scores(tmp_path / "finale") is not None
