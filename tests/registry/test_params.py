from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.registry.params import batches, flatten

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
TREES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1), max_leaves=8
)


def test_values_read_as_in_the_yaml() -> None:
    nested = {
        "a": {"b": {"c": None, "d": True}, "e": 1e-5},
        "f": [1, {"g": "h"}],
        "i": {},
        "j": "é",
        "k": (1, 2),
    }
    assert flatten(nested) == {
        "a.b.c": "null",
        "a.b.d": "true",
        "a.e": "1e-05",
        "f": '[1, {"g": "h"}]',
        "i": "{}",
        "j": "é",
        "k": "[1, 2]",
    }


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from("abc"), TREES))
def test_every_leaf_is_found_by_its_path(tree: dict[str, object]) -> None:
    flat = flatten(tree)
    leaves = 0
    stack: list[tuple[tuple[str, ...], object]] = [((), tree)] if tree else []
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            stack += [((*path, key), value) for key, value in node.items()]
        else:
            leaves += 1
            text = flat[".".join(path)]
            assert text == node if isinstance(node, str) else text in {str(node), "null", "true", "false"}
    assert leaves == len(flat)


def test_batches_hold_at_most_a_hundred() -> None:
    flat = {str(number): "x" for number in range(250)}
    pieces = list(batches(flat))
    assert [len(piece) for piece in pieces] == [100, 100, 50]
    assert {key: value for piece in pieces for key, value in piece.items()} == flat
    assert list(batches({})) == []
