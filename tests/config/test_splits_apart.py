"""Train, val and tests share no folder, whatever they are called."""

import pytest

from vgsearch.config.document import load_document
from vgsearch.errors import ConfigError

FILE = """name: apart
data:
  train: {train}
  val: {val}
  tests: {{tokyo: {test}}}
  target_domain: {target}
"""


FOLDERS = {"train": "sf/train", "val": "sf/val", "test": "tokyo/test", "target": "night"}


def load(tmp_path, **folders):
    path = tmp_path / "apart.yaml"
    path.write_text(FILE.format(**{**FOLDERS, **folders}))
    return load_document(path)


def test_separate_folders_pass(tmp_path):
    assert load(tmp_path).data.train == "sf/train"
    assert load(tmp_path, val="sf/train_val").data.val == "sf/train_val"


@pytest.mark.parametrize(
    ("folders", "line", "key", "other"),
    [
        ({"val": "tokyo/test"}, 5, "data.tests.tokyo", "data.val"),
        ({"val": "sf/./val/../train"}, 4, "data.val", "data.train"),
        ({"test": "sf/val/hard"}, 5, "data.tests.tokyo", "data.val"),
        ({"val": "{day: sf/val, night: tokyo/test}"}, 5, "data.tests.tokyo", "data.val.night"),
        ({"target": "tokyo/test/queries"}, 6, "data.target_domain", "data.tests.tokyo"),
        ({"target": "{dusk: dusk, night: sf/val}"}, 6, "data.target_domain.night", "data.val"),
        ({"target": "sf/train/night"}, 6, "data.target_domain", "data.train"),
        (
            {"target": "{all: night, rain: night/rain}"},
            6,
            "data.target_domain.rain",
            "data.target_domain.all",
        ),
    ],
)
def test_a_shared_or_nested_folder_is_refused(tmp_path, folders, line, key, other):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **folders)
    (problem,) = [text for text in caught.value.problems if "apart from" in text]
    assert f"apart.yaml:{line}: {key}:" in problem
    assert other in problem
