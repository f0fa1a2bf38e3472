"""`vgsearch import geowarp` as a user types it."""

import pytest
import torch

from tests.cli.test_import import assert_refused
from tests.rerank.foreign import AuthorsRegression, authors_extractor
from vgsearch.rerank.checkpoint import load_geowarp


@pytest.fixture
def files(tmp_path):
    torch.save(AuthorsRegression().state_dict(), tmp_path / "hr.pth")
    torch.save(authors_extractor("alexnet").state_dict(), tmp_path / "fe.pth")


def test_it_is_kept_under_a_name(vgsearch, files, tmp_path):
    run = vgsearch("import", "geowarp", "hr.pth", "--encoder", "alexnet", "--encoder-weights", "fe.pth")
    assert run.code == 0, run.err
    assert "the baseline's pooling (gem) is kept too" in run.out
    assert "--model geowarp:alexnet-hr" in run.out
    assert "--rerank geowarp:alexnet-hr" in run.out
    network = load_geowarp(tmp_path / "runs" / "rerankers" / "alexnet-hr")
    assert network.config.resize_px is None


def test_a_name_stays_with_its_network(vgsearch, files, tmp_path):
    begin = ("import", "geowarp", "hr.pth", "--encoder", "alexnet", "--encoder-weights", "fe.pth")
    first, again = vgsearch(*begin), vgsearch(*begin)
    assert (first.code, again.code) == (0, 0), again.err
    assert first.out == again.out
    kept = tmp_path / "runs" / "rerankers" / "alexnet-hr"
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert_refused(vgsearch(*begin, "--resize-px", "64"), "alexnet-hr holds another network", "--name")
    regression = AuthorsRegression()
    with torch.no_grad():
        regression.linear.weight += 1e-3
    torch.save(regression.state_dict(), tmp_path / "hr.pth")
    assert_refused(vgsearch(*begin), "alexnet-hr holds another network", "--name")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert vgsearch(*begin, "--name", "other").code == 0
    (tmp_path / "runs" / "rerankers" / "notes").mkdir()
    assert_refused(vgsearch(*begin, "--name", "notes"), "is no GeoWarp checkpoint", "--name")


def test_what_cannot_be_is_one_line(vgsearch, files):
    begin = ("import", "geowarp")
    assert_refused(vgsearch(*begin, "no.pth", "--encoder", "alexnet"), "no.pth", "does not exist")
    assert_refused(vgsearch(*begin, "hr.pth", "--encoder", "alexnet"), "--encoder-weights")
    wrong = (*begin, "hr.pth", "--encoder", "alexnett", "--encoder-weights", "fe.pth")
    assert_refused(vgsearch(*wrong), "alexnett", "alexnet")
    named = (*begin, "hr.pth", "--encoder", "alexnet", "--encoder-weights", "fe.pth", "--name", "../up")
    assert_refused(vgsearch(*named), "--name", "../up")


def test_the_baselines_pooling_is_recorded_and_stays(vgsearch, files, tmp_path):
    torch.save(authors_extractor("alexnet", "netvlad").state_dict(), tmp_path / "vlad.pth")
    begin = ("import", "geowarp", "hr.pth", "--encoder", "alexnet", "--name", "v", "--encoder-weights")
    assert_refused(vgsearch(*begin, "vlad.pth", "--pooling", "gem"), "vlad.pth", "netvlad", "--pooling")
    run = vgsearch(*begin, "vlad.pth")
    assert run.code == 0, run.err
    kept = tmp_path / "runs" / "rerankers" / "v"
    assert "pooling: netvlad" in (kept / "geowarp.yaml").read_text()
    before = (kept / "pooling.safetensors").read_bytes()
    assert vgsearch(*begin, "vlad.pth", "--pooling", "netvlad").code == 0
    tensors = torch.load(tmp_path / "vlad.pth")
    torch.save(tensors | {"pool.centroids": tensors["pool.centroids"] + 1}, tmp_path / "vlad.pth")
    assert_refused(vgsearch(*begin, "vlad.pth"), "holds another network", "--name")
    assert (kept / "pooling.safetensors").read_bytes() == before
