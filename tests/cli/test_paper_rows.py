"""The commands that `vgsearch report --paper` prints for re-ranked and translated rows fill those rows."""

from __future__ import annotations

import csv
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.ensembling.searched_store import record_trial, write_places
from tests.reporting.paper.recorded import paper_config
from tests.rerank.conftest import moved_geowarp
from tests.rerank.foreign import AuthorsRegression, authors_extractor
from tests.translation.oracle import write_author_files
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.models.network import build_network
from vgsearch.reporting.paper import interpretation
from vgsearch.rerank.checkpoint import save_geowarp

pytestmark = pytest.mark.usefixtures("one_thread")

SPLITS = ("sf_xs", "tokyo_xs", "tokyo_night")
NUM_PLACES = 8


@pytest.fixture
def record(tmp_path, own_store):
    """Record a network of some settings with random weights, whose tests are three small splits."""
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    folders = {}
    for number, split in enumerate(("val", *SPLITS)):
        folders[split] = tmp_path / "our data" / split / "test"
        places = range(100 * number, 100 * number + NUM_PLACES)
        write_places(folders[split] / "database", places, range(2), spacing_m=100)
        write_places(folders[split] / "queries", places, range(2, 3), spacing_m=100)
    data = DataConfig(
        train=str(tmp_path / "train"),
        val=str(folders.pop("val")),
        tests={name: str(folder) for name, folder in folders.items()},
    )
    registry = MlflowRegistry(tmp_path / "runs", None)

    def recorded(trial: TrialConfig):
        spec = TrialSpec(search="own", uid="own-0", trial=trial, data=data)
        params = {"data": data.model_dump(mode="json")}
        tags = {"vgsearch.objective": spec.objective}
        registry.open_search("own", params=params, config_text="", tags=tags)
        network = build_network(trial, load_weights=False)
        return registry, record_trial(registry, spec, network, tmp_path / "own-0")

    return recorded


@pytest.fixture
def rows(vgsearch, tmp_path):
    """Lines of the paper's tables: by table and row, and in each by data set and n."""

    def read():
        run = vgsearch("report", "--paper", "--out", "tables.csv")
        assert run.code == 0, run.err
        found = {}
        with (tmp_path / "tables.csv").open() as file:
            for line in csv.DictReader(file):
                if line["table"]:
                    key = int(line["table"]), int(line["row"])
                    found.setdefault(key, {})[line["data_set"], int(line["n"])] = line
        return found

    return read


def recalls(row):
    return [line["ours"] for line in row.values()]


def commands_of(row):
    """All lines of a row have the same."""
    (commands,) = {line["commands"] for line in row.values()}
    return [shlex.split(command) for command in commands.split(" && ")] if commands else []


def run_all(vgsearch, row):
    """Type what is printed for a row; returns what the last command said."""
    for words in commands_of(row):
        assert words[0] == "vgsearch"
        run = vgsearch(*words[1:])
        assert run.code == 0, run.err
    return run.out


def filled(rows):
    """Rows of which each recall has ours beside it."""
    return {key for key, row in rows.items() if all(recalls(row))}


def test_reranked_rows(vgsearch, record, rows, tmp_path):
    registry, version = record(paper_config(precision="fp32"))
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save(AuthorsRegression().state_dict(), weights / "alexnet_gem_regression.pth")
    torch.save(authors_extractor("alexnet").state_dict(), weights / "alexnet_gem.pth")
    before = rows()
    assert {line["state"] for line in before[9, 2].values()} == {"not scored"}
    assert [words[:3] for words in commands_of(before[9, 2])] == [
        ["vgsearch", "import", "geowarp"],
        ["vgsearch", "evaluate", version.reference],
    ]
    said = run_all(vgsearch, before[9, 2])
    after = rows()
    # Without re-ranking, and alexnet with GeM and n 5, 10 and 15: one command for all of them.
    for number, begin in ((1, "sf_xs: "), (2, "  top 5 re-ranked: "), (3, "  top 10 "), (4, "  top 15 ")):
        line = next(line for line in said.splitlines() if line.removeprefix("test/").startswith(begin))
        assert f"R@1 {after[9, number]['SF-XS', 1]['ours']} [" in line
        assert commands_of(after[9, number]) == []
    assert recalls(after[9, 2]) != recalls(after[9, 1])
    # Rows of other networks have nothing from it; whatever shows this model's plain recalls shows those.
    assert {key for key in filled(after) if key[0] in (9, 10)} == {*((9, n) for n in (1, 2, 3, 4)), (10, 1)}
    assert recalls(after[10, 1]) == recalls(after[9, 1])
    (key,) = {scoring.model for scoring in registry.scored_tests("own")}
    assert registry.recorded_tests(version, key) == {}
    assert "re-ranked by alexnet_gem (" in vgsearch("report", "--paper", "--table", 9).out


def test_a_network_of_that_sort_is_used_under_its_own_name(vgsearch, record, rows, tmp_path):
    record(paper_config(precision="fp32"))
    lineage = {"kind": "trained", "photos": {"folder": "/data/sf_xs/train"}}
    config = GeoWarpConfig(encoder="alexnet", pooling="netvlad", kernel_sizes=(7, 5, 5), channels=(16, 8, 8))
    save_geowarp(tmp_path / "runs" / "rerankers" / "mine", moved_geowarp(config), lineage)
    before = rows()
    # Rows 5 to 7 of Table 10 are alexnet's with NetVLAD, trained on SF-XS.
    (command,) = commands_of(before[10, 5])
    assert command[-4:] == ["--rerank", "geowarp:mine", "--top", "5,10,15"]
    assert commands_of(before[10, 2])[0][1:3] == ["warp", "train"]
    run_all(vgsearch, before[10, 5])
    assert {key for key in filled(rows()) if key[0] in (9, 10)} == {(9, 1), *((10, n) for n in (1, 5, 6, 7))}


def test_translated_rows(vgsearch, record, rows, tmp_path, monkeypatch):
    # In place of Table 3's backbone, which takes minutes here, a tiny one.
    tiny = replace(interpretation._EFFICIENTNET_GRL, backbone="test_resnet.r160_in1k")
    monkeypatch.setattr(interpretation, "_EFFICIENTNET_GRL", tiny)
    record(paper_config(backbone=tiny.backbone, domain={"grl_alpha": tiny.grl_alpha}))
    write_author_files(tmp_path / "weights" / "robotcar_2day", channels=2)
    before = rows()
    done = set()
    for number, out in ((2, "tokyo_night_queries_as_day"), (3, "tokyo_night_database_as_night")):
        translate, evaluate = commands_of(before[3, number])
        assert translate[1:4] == ["translate", str(tmp_path / "our data/tokyo_night/test"), out]
        said = run_all(vgsearch, before[3, number])
        after = rows()
        # It is no result on the photos as they are, in no table.
        done.add((3, number))
        assert filled(after) == done
        assert f"R@1 {after[3, number]['Tokyo Night', 1]['ours']} [" in said
        assert commands_of(after[3, number]) == []
    bright = ("--part", "queries", "--method", "brighten", "--like", Path(translate[2]) / "database")
    assert vgsearch("translate", translate[2], "bright", *bright).code == 0
    assert vgsearch("evaluate", evaluate[2], "--on", "bright").code == 0
    assert rows() == after
