"""What a trial's other processes do: build its parts as rank 0 does, and train each epoch in step with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from vgsearch.config.search import TrialSpec
from vgsearch.models.precision import resolve_precision
from vgsearch.training.batch_share import BatchShare
from vgsearch.training.data_cache import load_trial_data
from vgsearch.training.determinism import deterministic_kernels
from vgsearch.training.parts import build_parts
from vgsearch.training.process_group import join_group
from vgsearch.training.rank_messages import EPOCH, JOIN, RankReply, RankSetup
from vgsearch.training.shared_epoch import train_share
from vgsearch.training.threads import take_cpus


def serve(next_command: Callable[[], str], answer: Callable[[RankReply], None]) -> None:
    """Do as rank 0 says, for ever. Nothing is written to disk here.

    Args:
        next_command: waits for rank 0's next line; see `rank_messages`.
        answer: sends a reply to rank 0.

    Raises:
        Exception: whatever ends a trial; see `Trainer`.
    """
    setup = RankSetup.from_line(next_command())
    spec = TrialSpec.model_validate_json(setup.spec)
    device = torch.device(setup.device)
    precision = resolve_precision(spec.trial.precision, device)
    take_cpus(device, setup.compute_threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    data = load_trial_data(spec.data, spec.trial, with_val=False)
    with deterministic_kernels(spec.deterministic):
        parts = build_parts(
            spec.trial,
            [group.num_classes for group in data.groups],
            device,
            precision,
            checkpoint=None if setup.checkpoint is None else Path(setup.checkpoint),
            epoch=setup.epoch,
            compile_threads=setup.compute_threads,
            trunk=None if setup.trunk is None else Path(setup.trunk),
            processes=setup.processes,
            num_targets=len(spec.data.target_domains),
        )
        answer(RankReply("ready"))
        while True:
            verb, _, number = next_command().partition(" ")
            if verb == JOIN:
                join_group(
                    Path(setup.rendezvous),
                    rank=setup.rank,
                    processes=setup.processes,
                    device=device,
                    timeout_s=setup.timeout_s,
                )
            elif verb == EPOCH:
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                train_share(
                    parts,
                    data,
                    spec,
                    epoch=int(number),
                    device=device,
                    precision=precision,
                    loader_threads=setup.loader_threads,
                    share=BatchShare(setup.rank, setup.processes),
                )
                peak = float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
                answer(RankReply("done", gpu_peak_bytes=peak, weights_norm=parts.squared_norm()))
