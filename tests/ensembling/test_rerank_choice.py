"""The best re-ranking against looking at all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.rerank_choice import ScoredReranking, choose_reranking
from vgsearch.rerank.reranking import Reranking
from vgsearch.retrieval.recall import RetrievalResult

CRITERION = Criterion.parse("val/recall_at_1")
QUERIES = 4


def result(hits):
    ranks = np.where(np.arange(QUERIES) < hits, 0, -1).astype(np.int32)
    return {"": RetrievalResult("val", ranks, num_without_positive=0, stamp="stamp")}


@given(st.integers(0, QUERIES), st.lists(st.tuples(st.integers(0, QUERIES), st.sampled_from([5, 10, 15]))))
def test_it_is_the_highest_with_the_fewest_candidates(plain_hits, drawn):
    scored = [ScoredReranking("name", Reranking("f" * 16, "fp32", n), result(hits), 0.1) for hits, n in drawn]
    chosen = choose_reranking(result(plain_hits), scored, CRITERION)
    above = [(-hits, n, place) for place, (hits, n) in enumerate(drawn) if hits > plain_hits]
    if not above:
        assert chosen is None
    else:
        assert chosen is scored[min(above)[2]]
