"""`vgsearch import`, and what an imported network is good for: scored, searched from, souped, ensembled."""

import json
import re

import pytest
import torch
import yaml
from mlflow import MlflowClient

from tests.models.foreign import CosPlaceNetwork, normalised
from vgsearch.cli.import_cosplace import search_hint
from vgsearch.config.trial import BackboneConfig, TrialConfig
from vgsearch.data.decode import read_image
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.models.checkpoint import load_network, read_spec
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.names import SELECTED_ON_TEST_TAG, TRANSDUCTIVE_TAG
from vgsearch.registry.records import ModelVersion

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = "cosplace-resnet18"
CHAMPION = f"models:/vgsearch-{NAME}@champion"


def assert_refused(run, *words):
    assert run.code == 2, run.out
    (line,) = run.err.strip().splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def network():
    return CosPlaceNetwork("ResNet18", 32)


@pytest.fixture
def file(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "best_model.pth")
    return tmp_path / "best_model.pth"


def test_from_file_to_recall(vgsearch, own_store, searched_store, file, network, tmp_path):
    done = vgsearch("import", "cosplace", file, "--backbone", "resnet18")
    assert done.code == 0, done.err
    assert "ResNet18, 32-D, GeM p 2.37, as resnet18.tv_in1k + gem + 32" in done.out
    assert f"recorded as models:/vgsearch-{NAME}/1, {CHAMPION}" in done.out
    assert "import it with --data-of SEARCH" in done.out
    assert not list((tmp_path / "runs").glob(".import-*"))

    registry = MlflowRegistry(tmp_path / "runs", None)
    folder = registry.download(CHAMPION)
    spec = read_spec(folder)
    assert spec.eval.resize_px is None
    assert spec.trial.image_px == 512
    (data,) = {read_spec(searched_store.registry.download("models:/vgsearch-pot/1")).data.val}
    image = next(iter(sorted(load_retrieval_set(data, 25.0).database.root.glob("*.jpg"))))
    pixels = read_image(image)[None]
    ours = load_network(folder)
    with torch.inference_mode():
        expected, got = network(pixels / 255), ours(pixels)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)

    scored = vgsearch("evaluate", CHAMPION, "--on", data)
    assert scored.code == 0, scored.err
    assert "R@1" in scored.out
    assert "it was imported without data" in vgsearch("evaluate", CHAMPION, "--on", "val").err
    assert_refused(
        vgsearch("compare", CHAMPION, CHAMPION), "was imported without data: say on what with --on"
    )
    styled = vgsearch("evaluate", CHAMPION, "--on", data, "--fda", "train_to_split")
    assert_refused(styled, "it was imported without data", "--fda-style")
    assert_refused(vgsearch("soup", "--search", NAME), "imported without data", "--data-of")
    assert "left out" not in vgsearch("report", "--paper").out
    shown = vgsearch("best", NAME)
    assert re.search(r"imported +imported-[0-9a-f]{12}", shown.out)


def test_the_same_file_again_is_the_same_version(vgsearch, own_store, file):
    for _ in range(2):
        done = vgsearch("import", "cosplace", file, "--backbone", "ResNet18", "--name", "mine")
        assert "recorded as models:/vgsearch-mine/1" in done.out


def test_what_is_refused(vgsearch, own_searched_store, file, tmp_path):
    home = ("--home", own_searched_store.home)

    def run(path=file, backbone="ResNet18", *more):
        return vgsearch("import", "cosplace", path, "--backbone", backbone, *home, *more)

    assert_refused(run("nowhere.pth"), "nowhere.pth does not exist")
    assert_refused(run(backbone="ResNet20"), "'ResNet20' is none of CosPlace's; nearest: ResNet")
    assert_refused(run(backbone="VGG16"), "best_model.pth does not fit vgg16.tv_in1k")
    assert_refused(run(file, "ResNet18", "--name", "pot"), "'pot' is the name of a search", "--name")
    assert_refused(run(file, "ResNet18", "--name", "a/b"), "may hold only letters")
    assert_refused(run(file, "ResNet18", "--data-of", "pto"), "--data-of pto", "nearest: pot")
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html><html></html>")
    assert_refused(run(page), "page.pth is a web page")
    file.write_bytes(file.read_bytes()[:5000])
    assert_refused(run(), "best_model.pth is damaged")
    assert not any("imported" in str(path) for path in own_searched_store.home.rglob("*"))


def space_file(store, path, **trial):
    """A space over the store's data that starts from the imported network."""
    spec = read_spec(store.registry.download("models:/vgsearch-pot/1"))
    trial = {
        **spec.trial.model_dump(mode="json"),
        "backbone": "resnet18.tv_in1k",
        "weights": CHAMPION,
        "trainable_stages": 1,
        "iterations_per_epoch": 2,
        "batch_size": 4,
        "lr": 1e-5,
        **trial,
    }
    path.write_text(yaml.safe_dump({"name": "on", "data": spec.data.model_dump(mode="json"), "trial": trial}))
    return path


def test_weights_of_a_model_that_is_not_recorded(vgsearch, own_searched_store, tmp_path):
    path = space_file(own_searched_store, tmp_path / "space.yaml")
    run = vgsearch("validate", path, "--home", own_searched_store.home)
    assert_refused(run, "trial.weights", f"'vgsearch-{NAME}'", "nearest")
    assert_refused(vgsearch("validate", path, "--home", "none"), "trial.weights", "has no MLflow store")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "backbone", ["resnet18.tv_in1k", BackboneConfig(name="efficientnet_b6", bn_eps=1e-3)]
)
def test_the_hint_names_one_version_and_the_whole_backbone(backbone):
    version = ModelVersion("mine", "vgsearch-mine", "2", "imported-1", "r", 1, "ab" * 32)
    trial = TrialConfig(backbone=backbone, descriptor_dim=32)
    hint = search_hint(version, trial)
    written = re.fullmatch(r"search from it: (trial\..*)", hint)[1].split(", trial.")
    values = dict(part.removeprefix("trial.").split(" ", 1) for part in written)
    again = TrialConfig.model_validate({key: yaml.safe_load(value) for key, value in values.items()})
    assert again == trial.model_copy(update={"weights": "models:/vgsearch-mine/2"})


def test_data_of_a_file_asks_nothing_of_its_weights(vgsearch, own_searched_store, file, tmp_path):
    path = space_file(own_searched_store, tmp_path / "space.yaml", weights="models:/vgsearch-elsewhere/1")
    home = ("--home", own_searched_store.home)
    done = vgsearch("import", "cosplace", file, "--backbone", "ResNet18", "--data-of", path, *home)
    assert done.code == 0, done.err
    assert "val: R@1" in done.out


def test_what_starts_from_a_spoiled_model_is_spoiled(vgsearch, own_searched_store, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    registry, home = own_searched_store.registry, own_searched_store.home
    client = MlflowClient(registry.uri)
    client.set_model_version_tag("vgsearch-pot", "1", SELECTED_ON_TEST_TAG, "true")
    client.set_model_version_tag("vgsearch-pot", "1", TRANSDUCTIVE_TAG, "true")
    (spoiled,) = [each for each in registry.versions("pot") if each.version == "1"]
    started = space_file(
        own_searched_store,
        tmp_path / "space.yaml",
        backbone=read_spec(registry.download(spoiled.reference)).trial.backbone,
        weights=f"runs:/{spoiled.run_id}",
        iterations_per_epoch=1,
    )
    trained = vgsearch("train", started, "--home", home)
    assert trained.code == 0, trained.err
    assert f"is tagged {SELECTED_ON_TEST_TAG}, and every run is tagged so too" in trained.out
    (version,) = registry.versions("on_train")
    (search,) = [each for each in registry.searches() if each.name == "on_train"]
    (trial,) = registry.trials("on_train")
    for tags in (version.tags, search.tags, trial.tags):
        assert spoiled.inherited_tags.items() <= tags.items()
    scored = vgsearch("evaluate", version.reference, "--on", "day", "--home", home)
    assert "a test had a say in choosing this model" in scored.out
    assert "a test split had a say in choosing" in vgsearch("best", "on_train", "--home", home).out


@pytest.mark.slow
def test_imported_searched_from_souped_and_ensembled(
    vgsearch, own_searched_store, file, network, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    store, home = own_searched_store, ("--home", own_searched_store.home)
    assert vgsearch("import", "cosplace", file, "--backbone", "ResNet18", *home).code == 0
    done = vgsearch("import", "cosplace", file, "--backbone", "ResNet18", "--data-of", "pot", *home)
    assert done.code == 0, done.err
    assert "val: R@1" in done.out
    assert f"recorded as models:/vgsearch-{NAME}/2, {CHAMPION}" in done.out
    assert f"score it: vgsearch evaluate {CHAMPION} --on day" in done.out
    again = vgsearch("evaluate", CHAMPION, "--on", "val", *home)
    assert "from stored descriptors" in again.out

    path = space_file(store, tmp_path / "space.yaml")
    trained = vgsearch("train", path, *home)
    assert trained.code == 0, trained.err
    assert "its 32-D linear layer and GeM p 2.37 are taken too" in trained.out
    registry = MlflowRegistry(store.home, None)
    (version,) = registry.versions("on_train")
    began_with = network.state_dict()
    ours = load_network(registry.download(version.reference))
    moved = (ours.linear.weight - began_with["aggregation.3.weight"]).abs().max()
    assert 0 < moved < 1e-3
    assert torch.equal(ours.backbone.trunk.conv1.weight, began_with["backbone.0.weight"])

    soup = vgsearch(
        *("soup", "--search", "on_train", "--search", NAME, "--method", "uniform"),
        *("--recalibrate-bn", "off", *home),
    )
    assert soup.code == 0, soup.err
    (made,) = [each for each in registry.versions("on_train") if each.kind == "soup"]
    lineage = json.loads((registry.download(made.reference) / "lineage.json").read_text())
    assert {part["reference"] for part in lineage["ingredients"]} == {
        version.reference,
        registry.champion(NAME).reference,
    }
    mean = load_network(registry.download(made.reference)).linear.weight
    expected = (ours.linear.weight + began_with["aggregation.3.weight"]) / 2
    torch.testing.assert_close(mean, expected, rtol=0, atol=1e-7)

    text = f"members: ['models:/vgsearch-pot@champion', '{CHAMPION}']\nfusion: mean\n"
    (tmp_path / "ensemble.yaml").write_text(text)
    ensemble = vgsearch("ensemble", tmp_path / "ensemble.yaml", *home)
    assert ensemble.code == 0, ensemble.err
    assert registry.champion(NAME).reference in ensemble.out


def test_normalisation_of_the_oracle():
    assert normalised(torch.full((1, 3, 2, 2), 0.485))[0, 0].abs().max() < 1e-6
