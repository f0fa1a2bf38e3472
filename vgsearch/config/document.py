"""A search as its user writes it: read one YAML file, apply `--set`, say all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vgsearch.config.branch_checks import check_branch
from vgsearch.config.checks import (
    check_backbones,
    check_domain,
    check_names,
    check_objective,
    check_splits_apart,
    check_styles,
)
from vgsearch.config.folders import absolute_data, folder_by_key, folder_problems
from vgsearch.config.overrides import apply_override
from vgsearch.config.problems import Problem, explain, raise_problems
from vgsearch.config.sampler_checks import check_sampler
from vgsearch.config.schema import Shape
from vgsearch.config.search import DataConfig, EvalConfig, ResourcesConfig, SearchConfig
from vgsearch.config.source import read_text
from vgsearch.config.space import Scalar, Space, Suggest
from vgsearch.config.start_with import read_start_with
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, Place, find, plain, searched_nodes, unwrap, variants
from vgsearch.config.trial import TrialConfig
from vgsearch.config.truth_values import check_truth_values
from vgsearch.config.weight_files import RecordedWeights, check_weights, with_absolute_weights
from vgsearch.config.wording import show
from vgsearch.config.yaml_tags import parse_yaml
from vgsearch.errors import ConfigError

Model = TypeVar("Model", bound=Strict)

SECTIONS = ("data", "trial", "search", "resources", "eval")


class SearchFile(Strict):
    """The top-level keys of a search file."""

    name: str
    data: DataConfig
    trial: TrialConfig = TrialConfig()
    search: SearchConfig = SearchConfig()
    resources: ResourcesConfig = ResourcesConfig()
    eval: EvalConfig = EvalConfig()


@dataclass(frozen=True)
class SearchDocument:
    """A checked search file: `text` as it was read, and in `places` the file:line of each folder's key.

    `examples` are decided trials that together hold every option and both ends of every range. `start_with`
    are the configurations to try first, each as the parameters that it fixes, by their names in `space`.
    `recorded_weights` are what each reference to a recorded model was found to be.
    """

    name: str
    data: DataConfig
    space: Space
    search: SearchConfig
    resources: ResourcesConfig
    eval: EvalConfig
    text: str
    source: Path
    overrides: tuple[str, ...]
    places: Mapping[tuple[str, ...], str]
    examples: tuple[TrialConfig, ...]
    start_with: tuple[Mapping[str, Scalar], ...] = ()
    recorded_weights: Mapping[str, RecordedWeights] = field(default_factory=dict)

    @property
    def inherited_tags(self) -> dict[str, str]:
        """Tags that come with the recorded models whose weights some trial may start from."""
        return {key: value for each in self.recorded_weights.values() for key, value in each.tags.items()}

    def decide(self, suggest: Suggest) -> TrialConfig:
        """One trial, each searched value decided by `suggest(name, distribution)`.

        Raises:
            ValueError: `suggest` returned a value outside its distribution.
            ConfigError: the decided values do not fit together.
        """
        return self._trial(self.space.propose(suggest))

    def default_trial(self) -> tuple[TrialConfig, list[str]]:
        """The trial in the middle of the space, and one line for each value that was decided so."""
        return self._trial(self.space.centre()), self.space.centre_notes()

    def resolved_data(self, data_root: Path, *, allow_unbuilt_demo: bool = False) -> DataConfig:
        """The data section with absolute folders (the demo city's too).

        Args:
            data_root: where relative folders start.
            allow_unbuilt_demo: folders inside the demo city's may be missing.

        Raises:
            ConfigError: a folder is missing or is a file; all of them, each with its line.
        """
        found = folder_problems(self.data, data_root, allow_unbuilt_demo=allow_unbuilt_demo)
        if found:
            raise ConfigError(
                [f"{self.places[keys]}: {'.'.join(keys)}: {text}" for keys, text in found.items()]
            )
        return absolute_data(self.data, data_root)

    def example_trials(self) -> list[TrialConfig]:
        """A few trials that together hold every option of every choice and both ends of every range."""
        return list(self.examples)

    def _trial(self, decided: dict[str, Any]) -> TrialConfig:
        try:
            return TrialConfig.model_validate(decided)
        except ValidationError as error:
            place = Place(0, 1, 0, str(self.source))
            raise_problems(explain(error, TrialConfig, Node(None, place)))
            raise


def load_document(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: Path | None = None,
    check_backbone: Callable[[str], str | None] | None = None,
    find_recorded: Callable[[str], RecordedWeights] | None = None,
) -> SearchDocument:
    """Read and check a search file.

    Every option of every choice and both ends of every range are checked, not one draw alone.

    Args:
        path: the YAML file.
        overrides: `key.path=value` texts, applied in turn.
        data_root: where given, the folders of the data section must exist (a demo city may be unbuilt), and
            weights files become absolute: relative ones start there.
        check_backbone: says what is wrong with a backbone's name, or None. It is handed in, because
            only a room above knows timm.
        find_recorded: gives the weights of a recorded model by its reference, or raises a
            `VgsearchError`; only a room above knows the registry.

    Raises:
        ConfigError: with every problem of the file and the overrides, in reading order.
    """
    text = read_text(path)
    root, problems = parse_yaml(text, Place(0, 1, 0, str(path)))
    if not isinstance(root.content, dict):
        raise_problems(problems)
        got = (
            "an empty file"
            if root.content is None
            else show(unwrap(root))
            if not root.is_searched
            else "a tag"
        )
        raise ConfigError([f"{path}: must be a mapping with the keys name and data, got {got}"])
    for source, override in enumerate(overrides, start=1):
        root, found = apply_override(root, override, source, SearchFile)
        problems += found
    root = _with_empty_sections(root)
    recorded_weights: dict[str, RecordedWeights] = {}
    if data_root is not None:
        root, found, recorded_weights = with_absolute_weights(root, data_root, find_recorded)
        problems += found
    problems += _searched_outside_trial(root)

    decided = variants(root)
    for variant in decided:
        problems += check_truth_values(variant, Shape((SearchFile,)))
        try:
            SearchFile.model_validate(plain(variant))
        except ValidationError as error:
            problems += explain(error, SearchFile, variant)
    problems += _cross_checks(decided, data_root)
    problems += check_branch(decided)
    search = _read(SearchConfig, plain(decided[0]).get("search", {}))
    if search is not None:
        problems += check_sampler(root, search)
    if check_backbone is not None:
        problems += check_backbones(decided, check_backbone)
    start_with, found = read_start_with(root)
    problems += found
    raise_problems(problems)

    files = [SearchFile.model_validate(plain(variant)) for variant in decided]
    file = files[0]
    tree = unwrap(root)
    trial = tree.get("trial", {}) if isinstance(tree, dict) else {}
    return SearchDocument(
        name=file.name,
        data=file.data,
        space=Space(trial if isinstance(trial, dict) else {}),
        search=file.search,
        resources=file.resources,
        eval=file.eval,
        text=text,
        source=path,
        overrides=tuple(overrides),
        places={keys: str(find(root, keys).place) for keys in folder_by_key(file.data)},
        examples=tuple({example.trial.model_dump_json(): example.trial for example in files}.values()),
        start_with=start_with,
        recorded_weights=recorded_weights,
    )


def _with_empty_sections(root: Node) -> Node:
    """`root` with `search:` and nothing below it read as an empty section, which is what its writer sees."""
    content = {
        key: Node({}, child.place) if key in SECTIONS and child.content is None else child
        for key, child in (root.content.items() if isinstance(root.content, dict) else ())
    }
    return Node(content, root.place)


def _searched_outside_trial(root: Node) -> list[Problem]:
    found = []
    for keys, node in searched_nodes(root):
        if keys[:1] != ("trial",) or keys == ("trial",):
            where = "the section itself must be a mapping" if keys == ("trial",) else "write one value"
            found.append(Problem(node.place, keys, f"only values inside trial can be searched; {where}"))
    return found


def _cross_checks(decided: Sequence[Node], data_root: Path | None) -> list[Problem]:
    """The rules that span sections, as far as the sections they need can be read at all."""
    first = decided[0]
    data = _read(DataConfig, plain(first).get("data", {}))
    problems = check_names(first, data)
    for variant in decided:
        problems += check_weights(variant, data_root)
        if data is not None:
            problems += check_domain(variant, data)
            problems += check_styles(variant, data)
    if data is not None and data.val_splits:
        problems += check_objective(first, data)
        problems += check_splits_apart(first, data)
    if data is not None and data_root is not None:
        found = folder_problems(data, data_root, allow_unbuilt_demo=True)
        problems += [Problem(find(first, keys).place, keys, text) for keys, text in found.items()]
    return problems


def _read(model: type[Model], values: object) -> Model | None:
    try:
        return model.model_validate(values)
    except ValidationError:
        return None
