"""Every error a user can cause. The command line turns each into one line and exit code 2.

A message states the rule, the value that broke it, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class VgsearchError(Exception):
    """Base of all errors that are the user's to mend; `str()` is what the user reads."""


def first_line(error: BaseException) -> str:
    """What a foreign error says, in one line: its message's first, or its type's name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class ConfigError(VgsearchError):
    """A configuration file or a `--set` breaks the schema. All its problems come in one message."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep `problems`, one sentence each, in file order."""
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class DataError(VgsearchError):
    """A folder, an index or a file name does not hold what the task needs."""


class CellsError(DataError):
    """The cells or the batch size of one trial leave too few classes; another trial's may not."""


class ImageError(DataError):
    """One image cannot be read; the message names the file."""


class WeightsError(VgsearchError):
    """Backbone weights cannot be had or do not fit; the message names the tensors."""


class CheckpointError(VgsearchError):
    """A checkpoint is missing, damaged or of another architecture."""


class RegistryError(VgsearchError):
    """The MLflow store cannot be opened or does not hold what was asked for."""


class RegistryUnreachableError(RegistryError):
    """The MLflow store does not answer now but may later: no connection, time-out, 5xx, locked database."""


class SearchError(VgsearchError):
    """A search cannot start, resume or go on."""


class ResourceError(SearchError):
    """No node can meet what one trial demands."""


class StorageError(VgsearchError):
    """An output folder cannot be written, or its disk is full."""


class DivergedError(VgsearchError):
    """Training produced a loss that is not finite."""
