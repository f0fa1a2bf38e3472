"""Each of a user's mistakes: one clear line on stderr, exit code 2, no traceback, nothing half-written."""

import errno
import os
import shutil

import pytest
from safetensors.numpy import load_file, save_file

PREFIX = "error: "


def assert_refused(run, *words):
    """Exit code 2 and lines that all start with `error:`, the first with every word."""
    assert run.code == 2, run.err or run.out
    lines = run.err.strip().splitlines()
    assert lines
    assert all(line.startswith(PREFIX) for line in lines), run.err
    assert "Traceback" not in run.err
    for word in words:
        assert word in run.err
    return lines


def train(vgsearch, space_file, *extra):
    return vgsearch("train", space_file, *extra)


def images(folder):
    return sorted(folder.rglob("*.jpg"))


def test_a_missing_folder(vgsearch, space_file):
    lines = assert_refused(
        train(vgsearch, space_file), "quick.yaml:4", "data.train", "quick.yaml:5", "data.val"
    )
    assert len(lines) == 3  # train, val and the test, all at once


def test_an_empty_folder(vgsearch, space_file, own_city):
    shutil.rmtree(own_city / "train")
    (own_city / "train").mkdir()
    assert_refused(train(vgsearch, space_file), str(own_city / "train"), "holds no .jpg")


def test_names_without_coordinates(vgsearch, space_file, own_city):
    for number, image in enumerate(images(own_city / "train")[:3]):
        image.rename(image.with_name(f"photo_{number}.jpg"))
    assert_refused(train(vgsearch, space_file), "photo_0.jpg", "3 of")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda whole: whole[: len(whole) // 2], ("truncated",)),
        (lambda whole: b"these are words and no picture\n", ("not an image",)),
        (lambda whole: b"", ("empty",)),
    ],
    ids=["truncated", "text", "empty"],
)
@pytest.mark.parametrize("part", ["train", "val_day/queries"])
def test_an_image_that_cannot_be_read(vgsearch, space_file, own_city, content, words, part):
    # Batches draw at random, so spoil every photo: whichever comes first is named.
    for image in images(own_city / part):
        whole = image.read_bytes()
        image.unlink()  # the day and night databases share files
        image.write_bytes(content(whole))
    lines = assert_refused(train(vgsearch, space_file), str(own_city / part), ".jpg", *words)
    assert len(lines) == 1
    assert not list((own_city.parent.parent / "runs" / "trials").glob("*/epoch_*"))


def test_no_class_is_left(vgsearch, space_file, own_city):
    run = train(vgsearch, space_file, "--set", "trial.cells.min_images=1000")
    assert_refused(run, "min_images")


def test_a_batch_larger_than_the_classes(vgsearch, space_file, own_city):
    run = train(vgsearch, space_file, "--set", "trial.batch_size=5000")
    assert_refused(run, "batch_size", "min_images")


def test_an_unknown_backbone_with_the_nearest_names(vgsearch, space_file, own_city):
    run = vgsearch("validate", space_file, "--set", "trial.backbone=resnet81")
    assert_refused(run, "trial.backbone", "resnet81", "resnet18")


def test_an_unknown_key_with_the_nearest(vgsearch, space_file, own_city):
    space_file.write_text(space_file.read_text().replace("descriptor_dim", "descriptor_dims"))
    assert_refused(vgsearch("validate", space_file), "quick.yaml:10", "descriptor_dims", "descriptor_dim")


def test_an_empty_range(vgsearch, space_file, own_city):
    space_file.write_text(space_file.read_text().replace("[20, 64]", "[64, 20]"))
    assert_refused(vgsearch("validate", space_file), "quick.yaml:12", "low < high", "[64, 20]")


def test_a_query_set_with_no_positives(vgsearch, space_file, own_city):
    queries = own_city / "val_day" / "queries"
    for image in images(queries):
        fields = image.name.split("@")
        fields[1] = f"{float(fields[1]) + 5000:010.2f}"
        image.rename(image.with_name("@".join(fields)))
    assert_refused(train(vgsearch, space_file), str(own_city / "val_day"), "positive")


def test_a_checkpoint_of_another_architecture(vgsearch, space_file, own_city):
    assert train(vgsearch, space_file).code == 0
    (checkpoint,) = (own_city.parent.parent / "runs" / "trials").glob("*/epoch_0001")
    tensors = load_file(checkpoint / "model.safetensors")
    name = next(name for name in tensors if name.endswith("linear.weight"))
    tensors[name] = tensors[name][:8].copy()
    save_file(tensors, checkpoint / "model.safetensors")
    assert_refused(vgsearch("evaluate", checkpoint, "--on", "val"), str(checkpoint), name)


def test_a_checkpoint_that_is_none(vgsearch, tmp_path):
    assert_refused(vgsearch("evaluate", tmp_path / "nothing", "--on", "val"), "nothing", "models:/")
    assert_refused(vgsearch("evaluate", "models:/vgsearch-none@champion", "--on", "val"), "vgsearch-none")
    assert_refused(vgsearch("best", "none"), "none")


def test_an_unwritable_output_folder(vgsearch, space_file, own_city, tmp_path):
    # A file where the folder should be: root may write anywhere else.
    (tmp_path / "taken").write_text("")
    for command in ("train", "tune"):
        assert_refused(vgsearch(command, space_file, "--home", tmp_path / "taken" / "runs"), "taken")
    assert_refused(vgsearch("data", "demo", tmp_path / "taken" / "city", "--size", "tiny"), "taken")


def test_a_disk_that_fills_up(vgsearch, space_file, own_city, monkeypatch):
    real_fsync = os.fsync

    def full(descriptor):
        if "epoch_" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert_refused(train(vgsearch, space_file), "epoch_0001", "No space left on device")
    trials = own_city.parent.parent / "runs" / "trials"
    assert not [path for path in trials.rglob("*") if "epoch_" in path.name]


def test_a_file_that_is_no_space(vgsearch, tmp_path):
    assert_refused(vgsearch("validate", tmp_path / "none.yaml"), "none.yaml")
    (tmp_path / "words.yaml").write_text("- just\n- words\n")
    assert_refused(vgsearch("validate", tmp_path / "words.yaml"), "words.yaml", "mapping")


def test_python_tags_in_yaml_stay_an_error(vgsearch, space_file, own_city, tmp_path):
    marker = tmp_path / "ran"
    space_file.write_text(
        space_file.read_text().replace("name: quick", f"name: !!python/object/apply:os.mkdir ['{marker}']")
    )
    assert_refused(vgsearch("validate", space_file), "quick.yaml:2")
    assert not marker.exists()


def test_a_split_that_does_not_exist(vgsearch, space_file, own_city):
    assert train(vgsearch, space_file).code == 0
    (checkpoint,) = (own_city.parent.parent / "runs" / "trials").glob("*/epoch_0001")
    assert_refused(vgsearch("evaluate", checkpoint, "--on", "tokio"), "tokio", "test/day")
