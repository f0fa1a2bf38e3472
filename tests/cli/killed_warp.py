"""`vgsearch ARGS`, killed at the n-th thing it does that could be cut short; says how many there were.

python -m tests.cli.killed_warp WHAT N ARGS...

WHAT is `any`, or the name of the function whose n-th call is never made.
"""

import os
import signal
import sys
from pathlib import Path


class Count:
    """Steps of the training, and all that it writes: files, folders, names, records."""

    def __init__(self, what, last):
        self.what = what
        self.done = 0
        self.last = last

    def watch(self, owner, name):
        if self.what not in ("any", name):
            return
        original = getattr(owner, name)

        def watched(*args, **kwargs):
            self.done += 1
            if self.done == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, name, watched)


if __name__ == "__main__":
    from mlflow import MlflowClient

    from vgsearch.cli.main import main
    from vgsearch.registry.warp_runs import WarpRun
    from vgsearch.rerank import checkpoint
    from vgsearch.rerank.warp_step import WarpStep

    count = Count(sys.argv[1], int(sys.argv[2]))
    for owner, names in (
        (WarpStep, ("backward",)),
        (WarpRun, ("log_epoch",)),
        (checkpoint, ("write_tensors",)),
        (Path, ("write_bytes", "write_text", "mkdir")),
        (os, ("rename", "replace", "fsync", "rmdir")),
        (
            MlflowClient,
            ("create_run", "update_run", "log_batch", "set_tag", "log_artifacts", "set_terminated"),
        ),
    ):
        for name in names:
            count.watch(owner, name)
    sys.argv = ["vgsearch", *sys.argv[3:]]
    try:
        main()
    finally:
        print(f"{count.done} steps", flush=True)
