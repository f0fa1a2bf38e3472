"""Per-query results of tests beyond the champion's: kept with the run of whatever model was scored."""

from __future__ import annotations

from vgsearch.registry.names import check_segment
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion

KEPT_FOLDER = "tests"


def keep_test(
    registry: Registry, version: ModelVersion, model: str, split: str, *, stamp: str, content: bytes
) -> None:
    """Keep one result; the same model scored in the same way again replaces it.

    Args:
        registry: Where the model is recorded.
        version: The model.
        model: `scored_tests.model_key` of it: one run may have versions with other weights.
        split: The test's name in the data section.
        stamp: How it was scored; see `retrieval.scoring.stamp_of`.
        content: What `RetrievalResult.to_npz_bytes` wrote.

    Raises:
        RegistryError: A name is no plain path segment, or the store refuses.
    """
    folder = "/".join(
        (KEPT_FOLDER, check_segment(model, "a model's key"), check_segment(split, "a test's name"))
    )
    registry.log_files(version.run_id, folder, {f"{stamp}.npz": content})


def kept_tests(registry: Registry, version: ModelVersion, model: str) -> list[tuple[str, bytes]]:
    """Every recorded result of a model on tests: the finale's, if it was champion, and what `keep_test` kept.

    Args:
        registry: Where it is recorded.
        version: The model.
        model: Its key.

    Returns:
        (test's name, npz bytes); a test has one for each way in which it was scored, or two equal ones.
    """
    kept = registry.kept_files(version, f"{KEPT_FOLDER}/{check_segment(model, 'a model key')}")
    own = [
        (path.partition("/")[0], content)
        for path, content in sorted(kept.items())
        if path.count("/") == 1 and path.endswith(".npz")
    ]
    return [*registry.recorded_tests(version, model).items(), *own]
