"""How database and queries are brought to the network under each query method.

The methods are those of Berton et al., Deep Visual Geo-localization Benchmark (CVPR 2022). All of them leave
the database alone, so its descriptors are shared. The target size is that of `crop_height_px` and
`crop_width_px`, to which the database's images are resized then, else that of these images as the network
sees them:

- `native`: a query as it is, or its shorter side at `resize_px`; at a given target, exactly that size.
- `single_query`: the shorter side at the target's, the aspect ratio kept.
- `central_crop`: the smallest size that covers the target, cut to the target in the middle.
- `five_crops`: five squares of the target's shorter side; a query's descriptor is their mean.
- `nearest_crop`, `majority_voting`: the same squares, each with a descriptor and a search of its own; see
  `query_merge`.
"""

from __future__ import annotations

from dataclasses import dataclass

from vgsearch.config.query_method import MULTI_ROW, NUM_CROPS
from vgsearch.config.search import EvalConfig
from vgsearch.data.framing import OWN_SIZE, Framing
from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError
from vgsearch.retrieval.image_loader import file_sizes

_Size = tuple[int, int]

# By fingerprint: each size of an index's files with the first file of that size. The headers of a database
# are read once a process, not at every epoch.
_sizes_of: dict[str, dict[_Size, str]] = {}


@dataclass(frozen=True)
class DescribedPart:
    """One list of images and how it is brought to the network."""

    index: ImageIndex
    eval_config: EvalConfig


def described_parts(
    database: ImageIndex, queries: ImageIndex, eval_config: EvalConfig, *, threads: int = 2
) -> tuple[DescribedPart, DescribedPart]:
    """Database and queries of a split, each with its own settings; arguments and errors of `query_config`."""
    return (
        DescribedPart(database, database_config(eval_config)),
        DescribedPart(queries, query_config(eval_config, database, threads=threads)),
    )


def database_config(eval_config: EvalConfig) -> EvalConfig:
    """How database images are brought to the network: natively, whatever the method of the queries."""
    update: dict[str, object] = {"query_method": "native"}
    if eval_config.crop_height_px is not None:
        update["resize_px"] = None
    return eval_config.model_copy(update=update)


def query_config(eval_config: EvalConfig, database: ImageIndex, *, threads: int = 2) -> EvalConfig:
    """How queries are brought to the network, the target decided.

    Methods that show the network the same pictures and keep the same rows come out alike, so that what one
    extracts serves the other.

    Args:
        eval_config: the user's.
        database: gives the target where the settings do not; its headers are read then.
        threads: that read them.

    Returns:
        Settings of which `framing_of` and `rows_per_image` know all.

    Raises:
        DataError: the database has images of several sizes, and none is given.
        ImageError: a header cannot be read.
    """
    method = eval_config.query_method
    if method == "native":
        return database_config(eval_config)
    if method == "central_crop":
        height_px, width_px = _target(eval_config, database, threads)
        return _decided(eval_config, "central_crop", height_px, width_px)
    side_px = _target_side(eval_config, database, threads)
    if method == "single_query":
        update = {"query_method": "native", "resize_px": side_px}
        return eval_config.model_copy(update={**update, "crop_height_px": None, "crop_width_px": None})
    return _decided(eval_config, "nearest_crop" if method in MULTI_ROW else method, side_px, side_px)


def framing_of(eval_config: EvalConfig) -> Framing:
    """What settings do to one photo.

    Raises:
        ValueError: the method has a target that `query_config` has not decided.
    """
    height_px, width_px = eval_config.crop_height_px, eval_config.crop_width_px
    if height_px is not None and width_px is not None:
        if eval_config.query_method == "native":
            return Framing("exact", height_px, width_px)
        if eval_config.query_method == "central_crop":
            return Framing("central_crop", height_px, width_px)
        if eval_config.query_method != "single_query":
            side_px = min(height_px, width_px)
            return Framing("five_crops", side_px, side_px)
    if eval_config.query_method != "native":
        raise ValueError(f"{eval_config.query_method} has a target, which query_config must decide first")
    if eval_config.resize_px is None:
        return OWN_SIZE
    return Framing("shorter_side", eval_config.resize_px, eval_config.resize_px)


def rows_per_image(eval_config: EvalConfig) -> int:
    """Descriptors that an image has under these settings: 5 where each crop searches for itself, else 1."""
    return NUM_CROPS if eval_config.query_method in MULTI_ROW else 1


def _decided(eval_config: EvalConfig, method: str, height_px: int, width_px: int) -> EvalConfig:
    target = {"crop_height_px": height_px, "crop_width_px": width_px}
    return eval_config.model_copy(update={"query_method": method, "resize_px": None, **target})


def _target(eval_config: EvalConfig, database: ImageIndex, threads: int) -> _Size:
    if eval_config.crop_height_px is not None and eval_config.crop_width_px is not None:
        return eval_config.crop_height_px, eval_config.crop_width_px
    framing = framing_of(database_config(eval_config))
    found = {framing.size_px(*size): path for size, path in _sizes(database, threads).items()}
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise _undecided(eval_config, database, f"{_said(one)} ({first}) and {_said(other)} ({second})")
    return next(iter(found))


def _target_side(eval_config: EvalConfig, database: ImageIndex, threads: int) -> int:
    """The target's shorter side, which images of several sizes may have in common."""
    if eval_config.crop_height_px is not None and eval_config.crop_width_px is not None:
        return min(eval_config.crop_height_px, eval_config.crop_width_px)
    if eval_config.resize_px is not None:
        return eval_config.resize_px
    found = {min(size): path for size, path in _sizes(database, threads).items()}
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        text = f"shorter sides of {one} px ({first}) and {other} px ({second})"
        raise _undecided(eval_config, database, text)
    return next(iter(found))


def _undecided(eval_config: EvalConfig, database: ImageIndex, what: str) -> DataError:
    keys = "eval.crop_height_px and eval.crop_width_px"
    if eval_config.query_method != "central_crop":
        keys += ", or eval.resize_px"
    return DataError(
        f"eval.query_method: {eval_config.query_method} brings queries to the size of the database's images, "
        f"but those of {database.root} differ: {what}; give {keys}"
    )


def _sizes(index: ImageIndex, threads: int) -> dict[_Size, str]:
    if index.fingerprint not in _sizes_of:
        found: dict[_Size, str] = {}
        for size, path in zip(file_sizes(index, threads), index.paths, strict=True):
            found.setdefault(size, path)
        _sizes_of[index.fingerprint] = found
    return _sizes_of[index.fingerprint]


def _said(size: _Size) -> str:
    return f"{size[0]} x {size[1]}"
