"""The checkpoints a trial keeps: the latest, to resume from, and the best, to be recorded."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from vgsearch.errors import StorageError
from vgsearch.training.report import epoch_name

TRAINING_STATE = "training_state.pt"
_EPOCH = re.compile(r"epoch_(\d+)")
_DOOMED = ".deleting-"


def prune_checkpoints(folder: Path, *, latest_epoch: int, best_epoch: int) -> None:
    """Delete every epoch's checkpoint but the latest and the best, and leftovers of an interrupted deletion.

    A folder is renamed before it is emptied, so that no half-deleted one is ever taken for a checkpoint. The
    best epoch's training state goes too unless it is the latest: nobody resumes from there.

    Raises:
        StorageError: a folder cannot be renamed or deleted.
    """
    keep = {latest_epoch, best_epoch}
    try:
        for path in sorted(folder.iterdir()):
            match = _EPOCH.fullmatch(path.name)
            if match and int(match[1]) not in keep:
                doomed = path.with_name(_DOOMED + path.name)
                if doomed.exists():
                    shutil.rmtree(doomed)
                path.rename(doomed)
                shutil.rmtree(doomed)
            elif path.name.startswith(_DOOMED):
                shutil.rmtree(path)
        if best_epoch != latest_epoch:
            (folder / epoch_name(best_epoch) / TRAINING_STATE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: an old checkpoint cannot be deleted ({error.strerror or error})"
        ) from error
