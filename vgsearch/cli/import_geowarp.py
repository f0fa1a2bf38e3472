"""What `vgsearch import geowarp` does: read the authors' files, keep a checkpoint, say how to go on."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vgsearch.cli.kept_reranker import require_free_to_import
from vgsearch.cli.rerankers import reranker_folder
from vgsearch.config.geowarp import PoolingName
from vgsearch.errors import WeightsError
from vgsearch.models.file_hash import file_sha256
from vgsearch.rerank.authors_import import import_geowarp
from vgsearch.rerank.checkpoint import geowarp_identity, save_geowarp


def run_geowarp_import(
    file: Path,
    encoder: str,
    console: Console,
    *,
    encoder_weights: str | None,
    pooling: PoolingName | None,
    resize_px: int | None,
    name: str | None,
    home: Path,
) -> Path:
    """Import a network; see `import_geowarp` for what it reads.

    Args:
        file: The regression's state dict, or the whole network's.
        encoder: Name of the encoder.
        console: Where the outcome goes.
        encoder_weights: A file of its own for the encoder, `imagenet`, or None.
        pooling: Of the encoder's baseline; None finds it in the file.
        resize_px: Shorter side of photos that are re-ranked; None for their own.
        name: What it is called afterwards; None takes the encoder's and the file's name.
        home: Absolute.

    Returns:
        The checkpoint's folder.

    Raises:
        VgsearchError: One line on what cannot be done.
    """
    if not file.is_file():
        raise WeightsError(f"{file} does not exist or is no file; give the file of a homography regression")
    folder = reranker_folder(name or f"{encoder.replace('/', '-')}-{file.stem}", home)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    imported = import_geowarp(
        file, encoder, encoder_weights=encoder_weights, pooling=pooling, resize_px=resize_px
    )
    network = imported.network
    require_free_to_import(folder, network, imported.pooling)
    source = {"file": str(file.resolve()), "sha256": file_sha256(file), "encoder_weights": encoder_weights}
    if encoder_weights is not None and Path(encoder_weights).is_file():
        source["encoder_sha256"] = file_sha256(Path(encoder_weights))
    lineage = {"kind": "imported", "format": "geo_warp", "source": source}
    save_geowarp(folder, network, lineage, pooling=imported.pooling)
    layers = len(network.config.channels)
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    say(
        f"{file}: {encoder}, {network.encoder.channels} channels, {layers} convolutions, "
        f"{numbers:,} numbers in {len(network.state_dict())} tensors, each placed once"
    )
    if imported.pooling is not None:
        say(
            f"the baseline's pooling ({network.config.pooling}) is kept too; it finds pairs: vgsearch warp "
            f"train FILE --model geowarp:{folder.name}"
        )
    say(f"kept as {folder} ({geowarp_identity(folder)})")
    say(f"re-rank with it: vgsearch evaluate MODEL --on SPLIT --rerank geowarp:{folder.name} --top 5,10,15")
    return folder
