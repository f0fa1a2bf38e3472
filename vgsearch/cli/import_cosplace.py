"""What `vgsearch import cosplace` does: convert, score on val if there is one, record, say how to go on."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vgsearch.cli.load import load_space
from vgsearch.cli.named_model import STORE_FOLDER, extraction_bar
from vgsearch.cli.store import open_registry
from vgsearch.config.search import DataConfig, EvalConfig, NoData, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.ensembling.stored_models import StoredModels
from vgsearch.errors import RegistryError, StorageError, WeightsError
from vgsearch.models.architecture import describe_architecture
from vgsearch.models.checkpoint import read_spec, save_checkpoint
from vgsearch.models.cosplace_import import find_cosplace_backbone, import_cosplace
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.precision import pick_device
from vgsearch.registry.checkpoint_files import LINEAGE_FILE
from vgsearch.registry.imports import ImportSource, check_import_name, record_import
from vgsearch.registry.names import CHAMPION_ALIAS, model_name
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.data_cache import load_val_sets
from vgsearch.training.threads import take_cpus
from vgsearch.training.val_scores import recall_metrics, result_files

_FORMAT = "cosplace"


@dataclass(frozen=True)
class _Setting:
    """What a network is scored on, and how."""

    data: DataConfig
    eval_config: EvalConfig
    objective: str


def run_import(
    file: Path,
    backbone: str,
    console: Console,
    *,
    name: str | None,
    data_of: str | None,
    home: Path,
    data_root: Path,
) -> ModelVersion:
    """Import a network of CosPlace's layout and record it.

    Args:
        file: State dict or training checkpoint.
        backbone: CosPlace's name of the backbone; case counts for nothing.
        console: Where the outcome goes.
        name: Of the registered model, without its prefix; None names it by format and backbone.
        data_of: A recorded search or a search file whose data and eval sections it gets; None gives none.
        home: Absolute; its store and its descriptors are used.
        data_root: Where relative folders of a search file start.

    Raises:
        VgsearchError: One line on what cannot be done.
    """
    backbone = find_cosplace_backbone(backbone)
    if not file.is_file():
        raise WeightsError(f"{file} does not exist or is no file; give the .pth file of a network")
    name = name or f"{_FORMAT}-{backbone.lower().replace('_', '-')}"
    model_name(name)
    network, trial = import_cosplace(file, backbone)
    registry = open_registry(home)
    check_import_name(registry, name)
    setting = _setting(data_of, registry, data_root)
    source = ImportSource(file.resolve(), file_sha256(file), _FORMAT, backbone)
    spec = TrialSpec(
        search=name,
        uid=_uid(source, trial, setting),
        objective=setting.objective,
        trial=trial,
        data=setting.data,
        eval=setting.eval_config,
    )
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=home) as scratch:
            lineage = {LINEAGE_FILE: source.lineage()}
            folder = save_checkpoint(
                Path(scratch) / spec.uid, network, spec, {"epoch": 1}, extra_files=lineage
            )
            results = _score(folder, spec, home, console)
            metrics = recall_metrics(results) if results else {}
            folder = save_checkpoint(
                folder, network, spec, {"epoch": 1, **metrics}, extra_files=lineage | result_files(results)
            )
            version = record_import(registry, folder, source, metrics)
    except OSError as error:
        raise StorageError(f"cannot write {home}: {error.strerror or error}") from error
    power = network.pooling.p.item()
    _say(
        console,
        f"{file}: {backbone}, {trial.descriptor_dim}-D, GeM p {power:.4g}, as {describe_architecture(trial)}",
    )
    _say_outcome(console, version, spec, results)
    return version


def _setting(data_of: str | None, registry: Registry, data_root: Path) -> _Setting:
    if data_of is None:
        return _Setting(NoData(), EvalConfig(), TrialSpec.model_fields["objective"].default)
    if Path(data_of).is_file():
        # What its trials would start from may be recorded in another store.
        document = load_space(Path(data_of), (), data_root, home=None)
        data = document.resolved_data(data_root.resolve())
        return _Setting(data, document.eval, document.search.objective)
    try:
        versions = registry.versions(data_of)
    except RegistryError as error:
        raise RegistryError(f"--data-of {data_of} is no file and no recorded search: {error}") from error
    if not versions:
        raise RegistryError(f"--data-of {data_of} has no recorded checkpoint yet; name the search's file")
    spec = read_spec(registry.download(versions[0].reference))
    return _Setting(spec.data, spec.eval, spec.objective)


def _uid(source: ImportSource, trial: TrialConfig, setting: _Setting) -> str:
    """The same file with the same settings is the same version, wherever the file lies."""
    parts = (
        source.sha256,
        trial.model_dump_json(exclude={"weights"}),
        setting.data.model_dump_json(),
        setting.eval_config.model_dump_json(exclude={"batch_size"}),
    )
    return f"imported-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def _score(folder: Path, spec: TrialSpec, home: Path, console: Console) -> Mapping[str, RetrievalResult]:
    """Per-query results of the selection splits; descriptors are kept for those who score it next."""
    if not spec.data.val_splits:
        return {}
    sets = load_val_sets(spec.data)
    device = pick_device()
    split = take_cpus(device)
    models = StoredModels(
        DescriptorStore(home / STORE_FOLDER),
        spec.eval,
        device=device,
        threads=max(2, split.loader),
    )
    count = sum(len(each.database) + len(each.queries) for each in sets.values())
    with extraction_bar(console, "scoring on val", count) as advance:
        return models.score(folder, sets, label=f"{model_name(spec.search)} ({spec.uid})", progress=advance)


def _say_outcome(
    console: Console, version: ModelVersion, spec: TrialSpec, results: Mapping[str, RetrievalResult]
) -> None:
    for split, result in results.items():
        _say(console, f"{split or 'val'}: {result.summary()}")
    champion = CHAMPION_ALIAS in version.aliases
    reference = f"models:/{version.name}@{CHAMPION_ALIAS}" if champion else version.reference
    _say(console, f"recorded as {version.reference}" + (f", {reference}" if champion else ""))
    split = next(iter(spec.data.tests), "FOLDER")
    _say(console, f"score it: vgsearch evaluate {reference} --on {split}")
    _say(console, search_hint(version, spec.trial))
    if not results:
        _say(console, "to combine it with a search's models, import it with --data-of SEARCH")


def search_hint(version: ModelVersion, trial: TrialConfig) -> str:
    """How a search starts from an imported network: its keys with their values as YAML.

    The weights are named by number: an alias may move before the search is written.
    """
    backbone = trial.resolved_backbone
    name = backbone.name
    written = name if backbone.bn_eps is None else f"{{name: {name}, bn_eps: {backbone.bn_eps}}}"
    return (
        f"search from it: trial.backbone {written}, trial.weights {version.reference}, "
        f"trial.descriptor_dim {trial.descriptor_dim}"
    )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
