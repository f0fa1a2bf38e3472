from __future__ import annotations

import os

import pytest

from vgsearch.config.source import MAX_BYTES, read_text
from vgsearch.errors import ConfigError


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        read_text(path)
    (problem,) = caught.value.problems
    return problem.replace(str(path.parent), "DIR")


def test_missing_file_names_the_nearest_or_its_neighbours(tmp_path):
    assert refusal(tmp_path / "x.yaml") == "DIR/x.yaml: no such file"
    (tmp_path / "grl.yaml").touch()
    assert refusal(tmp_path / "gr.yaml") == "DIR/gr.yaml: no such file; nearest: grl.yaml"
    assert refusal(tmp_path / "q") == "DIR/q: no such file; DIR holds grl.yaml"
    assert "no such file" in refusal(tmp_path / "nowhere" / "x.yaml")


def test_folder(tmp_path):
    (tmp_path / "d").mkdir()
    assert refusal(tmp_path / "d") == "DIR/d: is a folder; name a YAML file"


def test_file_below_a_file(tmp_path):
    (tmp_path / "f").touch()
    assert refusal(tmp_path / "f" / "x.yaml").endswith("cannot be read: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_unreadable_file(tmp_path):
    file = tmp_path / "x.yaml"
    file.touch(mode=0)
    assert refusal(file).endswith("cannot be read: Permission denied")


def test_not_utf8_names_line_and_byte(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refusal(file) == "DIR/x.yaml:2: must be UTF-8 text, got byte 0xe9; save it as UTF-8"


def test_too_large(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes(b" " * (MAX_BYTES + 1))
    assert refusal(file) == "DIR/x.yaml: must have at most 1000000 bytes; is this a configuration?"


def test_byte_order_mark_and_umlauts_are_read(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes("\ufeffname: Zürich\n".encode())
    assert read_text(file) == "name: Zürich\n"
