# SPDX-License-Identifier: Apache-2.0
"""The processes of a training run: what each of them does, and torch's launcher that starts several on one machine.

A process is ``python -m nvcodec.models.training RECIPE --cache CACHE --into RUN``; ``nvc train`` starts it through
`launch`, ``torchrun`` starts it on several machines.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType

from nvcodec.cli import EXIT_SIGNAL, describe, say
from nvcodec.errors import NvcError

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
PATIENCE = timedelta(hours=6)  # of a process that waits for others to end their share of a phase
# glibc gives blocks this big back to the kernel on every free and clears new pages on every step; a training step
# allocates the same blocks again and again, so keep them
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}


def main(argv: Sequence[str] | None = None) -> int:
    """One process of a run; returns its exit code. A signal ends the step or sequence, saves and returns 0."""
    stop = _StopSignals()
    parser = argparse.ArgumentParser(prog="python -m nvcodec.models.training", description="One process of a run.")
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--into", dest="run", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--traceback", action="store_true")
    args = parser.parse_args(argv)
    try:
        _train(args, stop)
    except Exception as error:
        if args.traceback:
            raise
        code, message = describe(error)
        if not isinstance(error, NvcError) or os.environ.get("LOCAL_RANK", "0") == "0":  # all processes meet the same
            say(message)
        return code
    return 0


class _StopSignals:
    """True once a signal asked this process to stop; what is under way is finished first."""

    def __init__(self) -> None:
        self.asked = False
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def _train(args: argparse.Namespace, stop: Callable[[], bool]) -> None:
    import torch
    from torch import distributed as dist

    from nvcodec.models.training.group import Group
    from nvcodec.models.training.phases import train
    from nvcodec.models.training.recipe import load_recipe

    deadline = time.monotonic() + args.seconds
    rank, local = (int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK"))
    world, here = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    recipe = load_recipe(args.recipe)
    device = args.device
    if device == "cuda" and torch.cuda.device_count() > 1:
        device = f"cuda:{local % torch.cuda.device_count()}"
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    threads = max(1, cores() // here)
    torch.set_num_threads(threads)
    if world > 1:
        # NCCL wants a device for each process; gloo lets several share one
        alone = device.startswith("cuda") and torch.cuda.device_count() >= here
        dist.init_process_group("nccl" if alone else "gloo", timeout=PATIENCE)
    if rank == 0:
        _note_session(args, world)
    say_it = _say_line if rank == 0 else _say_nothing
    group = Group(device if device.startswith("cuda") else "cpu")
    train(recipe, args.cache, args.run, device, group, threads, lambda: stop() or time.monotonic() >= deadline, say_it)
    if world > 1:
        dist.destroy_process_group()


def _say_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say_nothing(line: str) -> None:
    pass


def _note_session(args: argparse.Namespace, world: int) -> None:
    """Keep what a model card will want to know: the recipe as it is now, and when, where and with what it ran."""
    import torch

    from nvcodec.models.training.card import commit
    from nvcodec.models.training.loop import steps_done

    args.run.mkdir(parents=True, exist_ok=True)
    (args.run / "recipe.toml").write_bytes(args.recipe.read_bytes())
    session = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "from_step": steps_done(args.run),
        "processes": world,
        "device": args.device,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "commit": commit(),
    }
    with open(args.run / "sessions.jsonl", "a") as log:
        log.write(json.dumps(session) + "\n")


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launch(
    recipe: Path, cache: Path, run: Path, device: str, processes: int, seconds: float, traceback: bool = False
) -> int:
    """Run the processes of one machine to their end; 0, the exit code of the first that failed, or 128 + signal.

    Raises NvcError when one was killed. An interrupt reaches every process, which saves.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = str(max(1, cores() // processes))
    for key, value in {"OMP_NUM_THREADS": threads, **(ALLOCATOR if sys.platform == "linux" else {})}.items():
        os.environ.setdefault(key, value)  # for the processes to be started
    command = ["-m", "nvcodec.models.training", recipe, "--cache", cache, "--into", run, "--device", device]
    command += ["--seconds", seconds, *(["--traceback"] if traceback else [])]
    with tempfile.TemporaryDirectory(prefix="nvc-train-") as logs:
        config = LaunchConfig(
            1, 1, processes, run_id=str(os.getpid()), rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )  # fmt: skip
        config.signals_to_handle = ",".join(n for n in SIGNALS if _handled(n))  # not what nohup had ignored
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        logging.disable(logging.ERROR)  # the launcher's own account of what the processes have said themselves
        try:
            elastic_launch(config, sys.executable)(*map(str, command))
        except SignalException as stopped:
            return EXIT_SIGNAL + int(stopped.sigval)
        except ChildFailedError as failed:
            return _exit_code(min(failed.failures.values(), key=lambda f: f.timestamp).exitcode)
        finally:
            logging.disable(logging.NOTSET)
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) is not handler:
                    signal.signal(number, handler)
    return 0


def _handled(name: str) -> bool:
    return hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN


def _exit_code(code: int) -> int:
    """A process that was killed leaves a negative code and no words of its own."""
    if code >= 0:
        return code
    hint = " (out of memory?)" if -code == getattr(signal, "SIGKILL", 9) else ""
    raise NvcError(f"a training process ended with signal {-code}{hint}; the same command resumes from the last save")
