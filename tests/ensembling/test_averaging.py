"""Averages of weights against plain means in float64, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vgsearch.ensembling.averaging import RunningAverage, interpolate, overwrite_weights
from vgsearch.errors import CheckpointError


def model(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        "a.weight": torch.randn(3, 5, 2, generator=generator).to(dtype),
        "a.bias": (torch.randn(7, generator=generator) * 1e3).to(dtype),
        "norm.num_batches_tracked": torch.tensor(100 + seed),
        "norm.running_var": torch.rand(4, generator=generator).to(dtype),
    }


@pytest.fixture
def files(tmp_path):
    paths = []
    for seed in range(5):
        save_file(model(seed), tmp_path / f"{seed}.safetensors", metadata={"format": "pt"})
        paths.append(tmp_path / f"{seed}.safetensors")
    return paths


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype
        assert torch.equal(ours[name], theirs[name]), name


def test_uniform_mean_is_that_of_float64(files):
    average = RunningAverage()
    for path in files:
        average.add(path)
    ours = average.result()
    for name, tensor in ours.items():
        if tensor.is_floating_point():
            stacked = torch.stack([model(seed)[name].double() for seed in range(5)])
            torch.testing.assert_close(tensor.double(), stacked.mean(dim=0), rtol=1e-6, atol=1e-6 * 1e3)
            assert tensor.dtype == torch.float32
    assert ours["norm.num_batches_tracked"].item() == 100  # the first one's, a whole number still
    assert ours["norm.num_batches_tracked"].dtype == torch.int64


def test_weighted_mean_is_that_of_float64(files):
    parts = [0.2, 3.0, 0.0, 1.3, 0.7]
    average = RunningAverage()
    for path, part in zip(files, parts, strict=True):
        average.add(path, part)
    for name in ("a.weight", "a.bias", "norm.running_var"):
        expected = sum(p * model(s)[name].double() for s, p in enumerate(parts)) / sum(parts)
        torch.testing.assert_close(average.result()[name].double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_soup_of_one_is_itself_bit_for_bit(dtype):
    average = RunningAverage()
    average.add(model(3, dtype))
    assert_same(average.result(), model(3, dtype))


def test_half_precision_is_added_up_in_float32():
    # 2048 + 1 is lost in float16, whose spacing there is 2.
    models = [{"w": torch.tensor([value], dtype=torch.float16)} for value in (2048.0, 1.0, 1.0, 1.0, 1.0)]
    average = RunningAverage()
    for each in models:
        average.add(each)
    assert average.result()["w"].item() == torch.tensor(2052 / 5, dtype=torch.float16).item()


def test_a_look_ahead_is_what_adding_gives(files):
    average = RunningAverage()
    average.add(files[0])
    average.add(files[1], 0.5)
    ahead = dict(average.stream(files[2], 2.0))
    again = dict(average.stream(files[2], 2.0))  # looking changes nothing
    average.add(files[2], 2.0)
    assert_same(ahead, average.result())
    assert_same(again, ahead)


@settings(max_examples=50, deadline=None)
@given(t=st.floats(0, 1), seed=st.integers(0, 20))
def test_between_a_model_and_itself_lies_the_model(t, seed):
    assert_same(interpolate(model(seed), model(seed), t), model(seed))


@settings(max_examples=50, deadline=None)
@given(t=st.floats(-0.5, 1.5))
def test_a_line_is_that_of_float64_and_exact_at_its_ends(t):
    first, second = model(0), model(1)
    ours = interpolate(first, second, t)
    for name in ("a.weight", "a.bias"):
        expected = first[name].double() + t * (second[name].double() - first[name].double())
        torch.testing.assert_close(ours[name].double(), expected, rtol=1e-5, atol=1e-3)
    kept = {"norm.num_batches_tracked": first["norm.num_batches_tracked"]}
    assert_same(interpolate(first, second, 0.0), first)
    assert_same(interpolate(first, second, 1.0), {**second, **kept})


def test_a_compiled_networks_names_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"_orig_mod.a": torch.zeros(2)}, path)
    for weights in (path, {"_orig_mod.a": torch.zeros(2)}):
        with pytest.raises(CheckpointError, match="_orig_mod"):
            RunningAverage().add(weights)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m.pop("a.bias"), "a.bias"),
        (lambda m: m.update(b=torch.zeros(1)), "b"),
        (lambda m: m.update({"a.bias": torch.zeros(8)}), "a.bias"),
        (lambda m: m.update({"a.bias": torch.zeros(7, dtype=torch.float64)}), "a.bias"),
        (lambda m: m["a.bias"].fill_(float("nan")), "NaN"),
    ],
)
def test_other_tensors_are_refused_in_one_line(files, tmp_path, change, word):
    other = model(1)
    change(other)
    save_file(other, tmp_path / "other.safetensors")
    average = RunningAverage()
    average.add(files[0])
    with pytest.raises(CheckpointError, match=word) as caught:
        average.add(tmp_path / "other.safetensors")
    assert "\n" not in str(caught.value)
    assert "other.safetensors" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x10" + b"\x00" * 7 + b"{" * 16])
def test_damaged_files_are_one_line(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        RunningAverage().add(path)
    with pytest.raises(CheckpointError, match="missing"):
        RunningAverage().add(tmp_path / "missing.safetensors")


def test_no_mean_of_nothing():
    with pytest.raises(ValueError, match="positive sum"):
        RunningAverage().result()
    average = RunningAverage()
    average.add(model(0), 1.0)
    average.add(model(1), -1.0)
    with pytest.raises(ValueError, match="positive sum"):
        average.result()
    with pytest.raises(ValueError, match="finite"):
        average.add(model(0), float("inf"))


def test_overwriting_is_strict():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    overwrite_weights(state.items(), network)
    assert_same(network.state_dict(), state)
    with pytest.raises(CheckpointError, match="missing"):
        overwrite_weights(list(state.items())[:-1], network)
    with pytest.raises(CheckpointError, match="extra"):
        overwrite_weights([*state.items(), ("extra", torch.zeros(1))], network)
    with pytest.raises(CheckpointError, match=r"0\.bias"):
        overwrite_weights({**state, "0.bias": torch.zeros(3)}.items(), network)
    with pytest.raises(CheckpointError, match="infinite"):
        overwrite_weights({**state, "0.bias": torch.tensor([1.0, float("inf")])}.items(), network)


MEMORY = """
import sys, torch
from pathlib import Path
from vgsearch.ensembling.averaging import RunningAverage
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
def mean(paths):
    average = RunningAverage()
    for path in paths:
        average.add(path)
    for name, tensor in average.stream():
        pass
paths = sorted(Path(sys.argv[1]).glob("*.safetensors"))
mean(paths[:2])
before = peak()
mean(paths)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_models(tmp_path):
    size = 16 * 2**20
    for seed in range(8):
        save_file(
            # Many small tensors, as networks have: the allocator keeps some freed ones, and few are large.
            {f"w{i}": torch.full((size // 256,), float(seed)) for i in range(64)},
            tmp_path / f"{seed}.safetensors",
        )
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < size  # six more models, each of `size` bytes
