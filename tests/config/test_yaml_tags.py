from __future__ import annotations

import math

import pytest

from vgsearch.config.choice import Choice
from vgsearch.config.distributions import IntRange, LogUniform, Uniform
from vgsearch.config.tree import Place, at, find, unwrap
from vgsearch.config.yaml_tags import MAX_ALIASES, parse_yaml
from vgsearch.errors import ConfigError

START = Place(0, 1, 0, "f.yaml")


def read(text):
    root, problems = parse_yaml(text, START)
    assert problems == []
    return unwrap(root)


def complaints(text):
    return [str(problem) for problem in parse_yaml(text, START)[1]]


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, START)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        ("2E3", 2000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("010", "010"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("2024-01-01", "2024-01-01"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("!!int '5'", 5),
        ("!!bool 'true'", True),
        ("-.inf", -math.inf),
        ("=", "="),
        ("1e", "1e"),
        ("e5", "e5"),
        (".", "."),
    ],
)
def test_scalars_are_yaml_1_2(written, value):
    read_value = read(f"a: {written}")["a"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_nan_is_a_number():
    assert math.isnan(read("a: .nan")["a"])


def test_tags_stand_in_place_of_values():
    tree = read(
        """
lr: !loguniform [1e-5, 1e-3]
epochs: !int [1, 9]
loss: !choice
  - {name: cosface, scale: !uniform [20, 64]}
  - null
  - !choice [a, b]
"""
    )
    assert tree == {
        "lr": LogUniform(1e-5, 1e-3),
        "epochs": IntRange(1, 9),
        "loss": Choice(({"name": "cosface", "scale": Uniform(20, 64)}, None, Choice(("a", "b")))),
    }
    assert (tree["lr"].line, tree["epochs"].line, tree["loss"].line) == (2, 3, 4)
    assert tree["loss"].options[0]["scale"].line == 5


def test_every_value_has_the_line_of_its_key_or_its_own():
    root, _ = parse_yaml("a:\n  b: 1\n  c:\n    - 2\n    - 3\nd: !choice\n  - x\n  - y\n", START)
    assert at(root, ("a",)).place.line == 1
    assert at(root, ("a", "b")).place.line == 2
    assert find(root, ("a", "c", "1")).place.line == 5
    assert [option.place.line for option in at(root, ("d",)).content.options] == [7, 8]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !uniform 5", "f.yaml:1: a: !uniform takes two numbers [low, high], got '5'"),
        ("a: !uniform {low: 1}", "f.yaml:1: a: !uniform takes two numbers [low, high], got a mapping"),
        ("a: !uniform [1]", "f.yaml:1: a: !uniform takes two numbers [low, high], got 1"),
        ("a: !int [1, 2, 3]", "f.yaml:1: a: !int takes two whole numbers [low, high], got 3"),
        ("a: !int []", "f.yaml:1: a: !int takes two whole numbers [low, high], got 0"),
        ("a: !int [1, 2.5]", "f.yaml:1: a: !int takes two whole numbers [low, high], got 2.5"),
        ("a: !int [1, 010]", "f.yaml:1: a: !int takes two whole numbers [low, high], got '010'"),
        ("a: !uniform [no, 1]", "f.yaml:1: a: !uniform takes two finite numbers [low, high], got 'no'"),
        ("a: !uniform [0, .inf]", "f.yaml:1: a: !uniform takes two finite numbers [low, high], got inf"),
        (
            "a: !uniform [3, 1]",
            "f.yaml:1: a: !uniform needs low < high, got [3, 1]; write a single value to fix it",
        ),
        ("a: !loguniform [0, 1]", "f.yaml:1: a: !loguniform needs low > 0, got [0, 1]"),
        (
            "a: !uniform [0, !int [1, 2]]",
            "f.yaml:1: a: !uniform takes two numbers [low, high], no searched or nested value",
        ),
        ("a: !choice []", "f.yaml:1: a: !choice needs at least one option, got []"),
        ("a: !choice x", "f.yaml:1: a: !choice takes a list of options, got 'x'"),
        ("a: !choice {b: 1}", "f.yaml:1: a: !choice takes a list of options, got a mapping"),
        ("a: !choice [1, 1.0]", "f.yaml:1: a: !choice must not repeat an option, got 1 and 1; keep one"),
        ("a: !Uniform [0, 1]", "f.yaml:1: a: unknown tag !Uniform; nearest: !uniform"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml:1: a: unknown tag !!python/object/apply:os.system; "
            "the tags are !uniform, !loguniform, !int, !choice",
        ),
        (
            "a: !!set {x, y}",
            "f.yaml:1: a: unknown tag !!set; the tags are !uniform, !loguniform, !int, !choice",
        ),
        ("a: !!int x", "f.yaml:1: a: must be a value of type !!int, got 'x'"),
        (f"a: {'9' * 101}", "f.yaml:1: a: must have at most 100 digits, got 101"),
        ("a: 1\nb: 2\na: 3", "f.yaml:3: a: this key stands on line 1 already; keep one"),
        ("x: &x {p: 1}\na:\n  <<: *x", "f.yaml:3: a.<<: merge keys are not supported; write the keys out"),
        ("[1, 2]: 3", "f.yaml:1: a key must be plain text, got a list or a mapping"),
        ("!int a: 3", "f.yaml:1: a: a key takes no tag, got !int"),
        ("a: &a [*a]", "f.yaml:1: a.0: an alias must not stand inside its own anchor"),
    ],
)
def test_wrong_tags_and_keys(text, problem):
    assert complaints(text) == [problem]


def test_all_problems_are_collected_with_their_lines_and_paths():
    assert complaints("a: !uniform [1]\nb:\n  c: !choice\n    - {d: !foo 1}\n    - {d: !int [1, x]}\n") == [
        "f.yaml:1: a: !uniform takes two numbers [low, high], got 1",
        "f.yaml:4: b.c.d: unknown tag !foo; the tags are !uniform, !loguniform, !int, !choice",
        "f.yaml:5: b.c.d: !int takes two whole numbers [low, high], got 'x'",
    ]


def test_keys_are_text_as_written():
    assert list(read("010: a\nno: b\n2024: c\nnull: d\n")) == ["010", "no", "2024", "null"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2\n", "f.yaml:2: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        (
            "a: &x 1\nb: &x 2\n",
            "f.yaml:2: not valid YAML: found duplicate anchor 'x'; first occurrence, second occurrence",
        ),
        ("a: *b\n", "f.yaml:1: not valid YAML: found undefined alias 'b'"),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2: not valid YAML: expected a single document in the stream, but found another document",
        ),
        ("a: 1\nb: \x07\n", "f.yaml:2: not valid YAML: control character '\\x07'"),
        ("a: " + "[" * 5000, "f.yaml:1: not valid YAML: nested more than 50 deep"),
    ],
)
def test_text_that_is_not_yaml_is_one_line(text, problem):
    assert refusal(text) == problem


def test_a_few_aliases_are_fine_and_many_are_not():
    assert read("a: &a {x: 1}\nb: *a\n") == {"a": {"x": 1}, "b": {"x": 1}}
    many = "a: &a 1\nb: [" + ", ".join(["*a"] * (MAX_ALIASES + 1)) + "]\n"
    assert refusal(many) == f"f.yaml:2: not valid YAML: more than {MAX_ALIASES} aliases"


def test_a_few_aliases_that_grow_a_thousandfold_are_refused():
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 9)]
    assert "must hold at most 20000 values" in refusal("\n".join(lines))


def test_an_empty_text_is_null():
    assert read("") is None
    assert read("# only a comment\n") is None


def test_aliases_that_nest_deeply_are_refused():
    deep = "[" * 40 + "{}" + "]" * 40
    lines = [f"a0: &a0 {deep.format(1)}"] + [f"a{i}: &a{i} {deep.format(f'*a{i - 1}')}" for i in range(1, 30)]
    assert refusal("\n".join(lines)) == "f.yaml:1: not valid YAML: nested too deeply"
