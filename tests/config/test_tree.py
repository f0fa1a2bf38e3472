from __future__ import annotations

from vgsearch.config.choice import Choice
from vgsearch.config.distributions import IntRange, Uniform
from vgsearch.config.tree import Broken, Node, Options, Place, at, find, plain, unwrap, variants

HERE = Place(0, 1, 0, "f.yaml")


def node(value):
    """A tree of nodes from plain values, all in one place."""
    if isinstance(value, dict):
        return Node({key: node(child) for key, child in value.items()}, HERE)
    if isinstance(value, list):
        return Node([node(child) for child in value], HERE)
    if isinstance(value, tuple):
        return Node(Options(tuple(node(option) for option in value)), HERE)
    return Node(value, HERE)


def test_places_sort_in_reading_order_and_print_file_and_line():
    places = [Place(1, 1, 0, "--set a"), Place(0, 2, 4, "f"), Place(0, 2, 1, "f"), Place(0, 10, 0, "f")]
    assert [str(place) for place in sorted(places)] == ["f:2", "f:2", "f:10", "--set a"]


def test_unwrap_keeps_searched_values_and_drops_what_is_broken():
    tree = node({"a": (1, {"b": Uniform(0, 1)}), "c": [Broken()]})
    assert unwrap(tree) == {"a": Choice((1, {"b": Uniform(0, 1)})), "c": [None]}


def test_variants_hold_every_option_and_both_ends():
    tree = node({"a": (1, (2, 3)), "b": {"c": IntRange(4, 9), "d": Uniform(0, 1)}, "e": [5, (6, 7)]})
    found = [plain(variant) for variant in variants(tree)]
    assert {variant["a"] for variant in found} == {1, 2, 3}
    assert {variant["b"]["c"] for variant in found} == {4, 9}
    assert {0, 1} < {variant["b"]["d"] for variant in found}
    assert {variant["e"][1] for variant in found} == {6, 7}
    assert len(found) == 3


def test_variants_of_fixed_and_empty_trees_are_themselves():
    for value in ({}, [], 3, {"a": {"b": []}}):
        assert [plain(variant) for variant in variants(node(value))] == [value]


def test_a_decided_range_says_which_of_its_values_it_is():
    notes = [variant.note for variant in variants(node(Uniform(1, 4)))]
    assert notes == ["lower end of !uniform [1, 4]", "upper end of !uniform [1, 4]", "inside !uniform [1, 4]"]
    inside = variants(node(Uniform(1, 4)))[2].content
    assert 1 < inside < 4
    assert inside % 1


def test_find_stops_at_the_deepest_known_key_and_at_does_not():
    tree = node({"a": {"b": [7, 8]}})
    assert find(tree, ("a", "b", "1")).content == 8
    assert find(tree, ("a", "x", "y")) == tree.content["a"]
    assert at(tree, ("a", "b")) == tree.content["a"].content["b"]
    assert at(tree, ("a", "x")) is None
