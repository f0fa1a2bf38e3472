"""An ensemble as a network and as a folder: what it computes, what it keeps, what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.checkpoint import load_network, read_spec, save_checkpoint
from vgsearch.models.ensemble import (
    EnsembleMember,
    EnsembleNetwork,
    describe_model,
    is_ensemble,
    load_model,
    model_identity,
    save_ensemble,
)
from vgsearch.models.ensemble_network import fuse
from vgsearch.models.ensemble_record import ENSEMBLE_FILE, read_ensemble
from vgsearch.models.network import build_network

IMAGES = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def unit(rng: np.random.Generator, count: int, length: int) -> torch.Tensor:
    rows = rng.standard_normal((count, length))
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only lose by sharing their work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[EnsembleMember]:
    """Two backbones with descriptors of 16 and 24, one of them twice with other weights."""
    root = tmp_path_factory.mktemp("checkpoints")
    data = DataConfig(train="/data/train", val="/data/val")
    members = []
    backbones = [("test_resnet", 16), ("test_resnet", 16), ("test_efficientnet", 24)]
    for i, (backbone, length) in enumerate(backbones):
        trial = TrialConfig(backbone=backbone, weights="none", descriptor_dim=length, image_px=64, seed=i)
        spec = TrialSpec(search="unit", uid=f"trial-{i}", trial=trial, data=data)
        network = build_network(trial)
        network(IMAGES)  # moves the BatchNorm statistics
        folder = save_checkpoint(root / f"trial-{i}" / "epoch_0001", network, spec, {"epoch": 1})
        members.append(EnsembleMember(folder, f"models:/vgsearch-unit/{i + 1}", f"trial-{i}", 1))
    return members


@pytest.fixture(scope="module")
def saved_once(checkpoints: list[EnsembleMember], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("saved"), checkpoints)


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    """An ensemble of all three that a test may spoil."""
    return Path(shutil.copytree(saved_once, tmp_path / "copy"))


def save(tmp_path: Path, members: list[EnsembleMember], **changes: object) -> Path:
    given = {"fusion": "similarity", "weights": [1.0] * len(members), "metrics": {"epoch": 1}, **changes}
    return save_ensemble(tmp_path / "ensemble", members, **given)  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    raw=st.lists(st.floats(1e-3, 1e3), min_size=5, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_similarity_is_the_weighted_sum_of_cosines(seed: int, lengths: list[int], raw: list[float]) -> None:
    rng = np.random.default_rng(seed)
    first, second = ([unit(rng, 4, length) for length in lengths] for _ in range(2))
    weights = [weight / sum(raw[: len(lengths)]) for weight in raw[: len(lengths)]]
    fused = [fuse(each, "similarity", weights) for each in (first, second)]
    expected = sum(w * (a * b).sum(1) for w, a, b in zip(weights, first, second, strict=True))
    torch.testing.assert_close((fused[0] * fused[1]).sum(1).double(), expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(fused[0].norm(dim=1), torch.ones(4), atol=1e-5, rtol=0)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), length=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_the_mean_has_norm_one_and_the_right_direction(seed: int, count: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    members = [unit(rng, 3, length) for _ in range(count)]
    weights = rng.dirichlet(np.ones(count)).tolist()
    fused = fuse(members, "mean", weights)
    plain = sum(w * member.numpy() for w, member in zip(weights, members, strict=True))
    expected = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(fused.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(fused.norm(dim=1).numpy(), 1, atol=1e-5)


def test_every_part_is_reached_by_eval_and_by_train(
    checkpoints: list[EnsembleMember], tmp_path: Path
) -> None:
    ensemble = load_model(save(tmp_path, checkpoints))
    assert not any(module.training for module in ensemble.modules())
    before = ensemble(IMAGES)
    ensemble.train()
    assert any(isinstance(m, torch.nn.BatchNorm2d) and m.training for m in ensemble.modules())
    ensemble.eval()
    torch.testing.assert_close(ensemble(IMAGES), before)


@pytest.mark.parametrize("fusion", ["similarity", "concat", "mean"])
def test_a_folder_computes_what_its_members_do(
    fusion: str, checkpoints: list[EnsembleMember], tmp_path: Path
) -> None:
    members = checkpoints[:2] if fusion == "mean" else checkpoints
    weights = [1.0] * len(members) if fusion == "concat" else [3.0, 1.0, 2.0][: len(members)]
    folder = save(tmp_path, members, fusion=fusion, weights=weights)
    ensemble = load_model(folder)
    networks = [load_network(member.folder) for member in members]
    with torch.inference_mode():
        alone = [network(IMAGES) for network in networks]
        fused = ensemble(IMAGES)
    shares = [weight / sum(weights) for weight in weights]
    torch.testing.assert_close(fused, fuse(alone, fusion, shares))  # type: ignore[arg-type]
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(3))
    assert fused.dtype == torch.float32
    assert ensemble.descriptor_dim == fused.shape[1] == (16 if fusion == "mean" else 56)
    assert fused.shape[0] == 3


def test_the_record_says_what_went_in(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    folder = save(tmp_path, checkpoints, weights=[2.0, 1.0, 1.0], eval_config=EvalConfig(resize_px=48))
    assert is_ensemble(folder)
    assert not is_ensemble(checkpoints[0].folder)
    record = read_ensemble(folder)
    assert record.weights == [0.5, 0.25, 0.25]
    assert [member.reference for member in record.members] == [each.reference for each in checkpoints]
    assert record.members[2].weights_sha256 == model_identity(checkpoints[2].folder).weights_sha256
    assert record.members[1].spec == read_spec(checkpoints[1].folder)
    assert read_spec(folder).eval.resize_px == 48
    assert describe_model(folder).startswith("similarity of 3: test_resnet + gem + 16 (0.50); ")
    assert describe_model(checkpoints[0].folder) == "test_resnet + gem + 16"


def test_the_same_again_is_the_same_file(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    files = [(save(tmp_path, checkpoints[:1]) / "model.safetensors").read_bytes() for _ in range(6)]
    assert len(set(files)) == 1


def test_identity_covers_fusion_and_weights(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    pair = checkpoints[:2]
    made = [
        model_identity(save(tmp_path, pair, fusion=fusion, weights=weights))
        for fusion, weights in [
            ("mean", [1, 1]),
            ("mean", [1, 2]),
            ("similarity", [1, 1]),
            ("concat", [1, 1]),
        ]
    ]
    assert len({identity.architecture for identity in made}) == 4
    assert len({identity.weights_sha256 for identity in made}) == 4
    assert model_identity(save(tmp_path, pair, fusion="mean", weights=[5, 5])) == made[0]


def test_the_identity_of_a_checkpoint_is_its_files(checkpoints: list[EnsembleMember]) -> None:
    one, two = (model_identity(each.folder) for each in checkpoints[:2])
    assert one.architecture == two.architecture
    assert one.weights_sha256 != two.weights_sha256


def test_mean_refuses_descriptors_of_other_lengths(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"mean needs descriptors of one length, got \[16, 24\]"
    ) as caught:
        save(tmp_path, checkpoints, fusion="mean")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="mean needs descriptors of one length"):
        EnsembleNetwork([load_network(each.folder) for each in checkpoints], "mean", [1, 1, 1])


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]]
)
def test_weights_must_be_one_positive_number_each(
    weights: list[float], checkpoints: list[EnsembleMember], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="weight"):
        save(tmp_path, checkpoints[:2], weights=weights)


def test_concat_takes_no_unequal_weights(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="concat takes equal weights"):
        save(tmp_path, checkpoints, fusion="concat", weights=[1, 2, 3])


def test_an_ensemble_is_no_member(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is an ensemble itself"):
        save_ensemble(
            tmp_path / "other",
            [EnsembleMember(saved, "models:/vgsearch-unit/9", "e", 1)],
            fusion="mean",
            weights=[1],
            metrics={},
        )


def _change(folder: Path, edit: object) -> None:
    path = folder / ENSEMBLE_FILE
    content = yaml.safe_load(path.read_text())
    edit(content)  # type: ignore[operator]
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content))))  # no aliases


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c["weights"].__setitem__(0, 0.9), "sum 1"),
        (lambda c: c["weights"].__setitem__(0, float("nan")), r"weights\.0"),
        (lambda c: c["weights"].pop(), "3 members need as many weights"),
        (lambda c: c.__setitem__("fusion", "median"), "fusion"),
        (lambda c: c.__setitem__("extra", 1), "extra"),
        (lambda c: c["members"][0].__setitem__("weights_sha256", "../x"), r"members\.0\.weights_sha256"),
        (lambda c: c.__setitem__("members", c["members"] * 30), "64 items"),
        (lambda c: c["members"][0]["spec"]["trial"].__setitem__("descriptor_dims", 3), "descriptor_dims"),
    ],
)
def test_a_changed_record_is_refused_in_one_line(edit: object, said: str, saved: Path) -> None:
    _change(saved, edit)
    for reader in (read_ensemble, load_model, model_identity, describe_model):
        with pytest.raises(CheckpointError, match=said) as caught:
            reader(saved)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert ENSEMBLE_FILE in str(caught.value)


def test_other_weights_in_the_record_are_noticed(saved: Path) -> None:
    _change(saved, lambda content: content.__setitem__("weights", [0.8, 0.1, 0.1]))
    with pytest.raises(CheckpointError, match="one of the two was changed"):
        load_model(saved)


@pytest.mark.parametrize(
    "text",
    [
        "&a [*a, *a]",
        "!!python/object/apply:os.system [echo]",
        "members: &m [1]\nweights: *m",
        "[" * 100,
        "fusion: mean\nfusion2",
        "\x00",
        "x: " + "a" * (5 * 2**20),
    ],
)
def test_hostile_yaml_is_refused(text: str, saved: Path) -> None:
    (saved / ENSEMBLE_FILE).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load_model(saved)
    assert "\n" not in str(caught.value)


def test_tensors_that_do_not_fit_are_refused(saved: Path, checkpoints: list[EnsembleMember]) -> None:
    weights = saved / "model.safetensors"
    tensors = load_file(weights)
    with safe_open(weights, "pt") as stored:
        metadata = stored.metadata()
    name = next(name for name in tensors if name.startswith("members.1.") and tensors[name].ndim == 4)
    for broken, said in [
        ({**tensors, name: tensors[name] * float("nan")}, "NaN or infinity"),
        ({**tensors, name: tensors[name][:1]}, "of another shape"),
        ({key: value for key, value in tensors.items() if key != name}, "1 missing"),
        ({**tensors, "members.3.linear.weight": tensors[name]}, "1 unexpected"),
    ]:
        save_file({key: value.clone() for key, value in broken.items()}, weights, metadata)
        with pytest.raises(CheckpointError, match=said):
            load_model(saved)
    shutil.copyfile(checkpoints[0].folder / "model.safetensors", weights)
    with pytest.raises(CheckpointError, match="one of the two was changed"):
        load_model(saved)
    weights.write_bytes(b"\xff" * 64)
    for reader in (load_model, model_identity):
        with pytest.raises(CheckpointError):
            reader(saved)


def test_an_ensembles_metrics_are_kept(checkpoints: list[EnsembleMember], tmp_path: Path) -> None:
    one = checkpoints[:1]
    folder = save(tmp_path, one, metrics={"val/recall_at_1": 50.0}, extra_files={"val.npz": b"x"})
    assert json.loads((folder / "metrics.json").read_text()) == {"val/recall_at_1": 50.0}
    assert (folder / "val.npz").read_bytes() == b"x"
    with pytest.raises(ValueError, match="Out of range"):
        save(tmp_path, one, metrics={"val/recall_at_1": float("nan")})
