# SPDX-License-Identifier: Apache-2.0
"""Every clip at every quality with every codec, a process for each point, results stored as they come."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from nvcodec.errors import NvcError
from nvcodec.metrics import METRICS
from nvcodec.rd.clips import ClipSource, prepare
from nvcodec.rd.codecs import LabCodec, Trial
from nvcodec.rd.ffmpeg import find_ffmpeg
from nvcodec.rd.pictures import PICTURES_FOLDER, frames_of, write_pictures
from nvcodec.rd.progress import Progress
from nvcodec.rd.schema import Clip, Conditions, Failure, Point, digest, point_from_json
from nvcodec.rd.store import ResultsFolder, safe_name
from nvcodec.rd.worker import POINT_FILE, Job

METRICS_VERSION = 1  # raise it when a metric's value changes
_NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class Plan:
    """What to measure. steps: codec or family name -> quality steps in place of the codec's own."""

    clips: Sequence[ClipSource]
    codecs: Sequence[LabCodec]
    conditions: Conditions
    metrics: Sequence[str]
    steps: dict[str, list[float]] = field(default_factory=dict)
    jobs: int = 1
    pictures: tuple[int, int | None] | None = None
    temporary: Path | None = None


@dataclass
class Outcome:
    """What a run did: points newly measured, points that were there already, and what failed."""

    measured: list[Point] = field(default_factory=list)
    already: int = 0
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class _Task:
    source: ClipSource
    trial: Trial
    key: str

    @property
    def quality(self) -> str:
        return f"{self.trial.quality.parameter} {self.trial.quality.value:g}"


def run_plan(plan: Plan, results: ResultsFolder, progress: Progress | None = None) -> Outcome:
    """Measure what ``results`` does not hold yet; each point is stored as soon as it is there.

    A codec that fails on a clip, or a clip that cannot be read, does not stop the others: see ``Outcome.failures``,
    also written to the folder. Ctrl-C ends the workers and leaves the folder with every finished point. A full disk
    or a result that contradicts a stored one ends the run with NvcError, and so does another process in this folder.
    """
    progress = progress or Progress(sys.stderr)
    tasks, outcome = _tasks(plan, results)
    with results.alone():
        progress.start(len(tasks), outcome.already)
        if tasks:
            environment = _environment()
            with tempfile.TemporaryDirectory(prefix="nvc-rd-", dir=plan.temporary) as folder:
                _Run(plan, results, outcome, progress, Path(folder), environment).all(tasks)
        progress.finish()
        results.write_failures(outcome.failures)
    return outcome


def point_key(source: ClipSource, trial: Trial, conditions: Conditions, metrics: Iterable[str]) -> str:
    """SHA-256 over all that decides a point's content."""
    names = sorted(set(metrics), key=METRICS.index)
    tools = {name: find_ffmpeg().version for name in names if name in ("vmaf", "xpsnr")}
    raw = source.raw and [source.raw.width, source.raw.height, str(source.raw.frame_rate)]
    return digest(
        {
            "clip": [source.name, source.sha256, raw],
            "codec": dataclasses.asdict(trial.codec),
            "quality": dataclasses.asdict(trial.quality),
            "conditions": conditions.identity,
            "metrics": [METRICS_VERSION, names, tools],
        }
    )


def _tasks(plan: Plan, results: ResultsFolder) -> tuple[list[_Task], Outcome]:
    """Points to measure, clip by clip, those that cost most first within a clip; and how many are there already."""
    tasks: list[_Task] = []
    outcome = Outcome()
    trials = [t for codec in plan.codecs for t in codec.trials(_steps(plan, codec))]
    for source in plan.clips:
        for trial in trials:
            key = point_key(source, trial, plan.conditions, plan.metrics)
            if key in results.points:
                outcome.already += 1
            else:
                tasks.append(_Task(source, trial, key))
    return tasks, outcome


def _steps(plan: Plan, codec: LabCodec) -> list[float] | None:
    return plan.steps.get(codec.name, plan.steps.get(codec.name.split(":")[0]))


class _Run:
    """The moving parts of one run; only the thread that called ``all`` writes results."""

    def __init__(
        self,
        plan: Plan,
        results: ResultsFolder,
        outcome: Outcome,
        progress: Progress,
        folder: Path,
        environment: dict[str, str],
    ) -> None:
        self.plan, self.results, self.outcome, self.progress = plan, results, outcome, progress
        self.folder, self.environment = folder, environment
        self.workers = _Workers()

    def all(self, tasks: list[_Task]) -> None:
        """Work through clips in order; a clip's frames exist only while points of it are open."""
        by_clip: dict[str, list[_Task]] = {}
        for task in tasks:
            by_clip.setdefault(task.source.name, []).append(task)
        pool = ThreadPoolExecutor(self.plan.jobs)
        pending: dict[Future[Point], _Task] = {}
        open_points: dict[str, int] = {}
        try:
            for name, group in by_clip.items():
                # One clip ahead keeps every job busy; more would fill the disk.
                while len(open_points) > 1 or len(pending) > self.plan.jobs:
                    self._collect(pending, open_points)
                clip = self._prepare(group)
                if clip is None:
                    continue
                open_points[name] = len(group)
                for task in group:
                    pending[pool.submit(self._measure, task, clip)] = task
            while pending:
                self._collect(pending, open_points)
        finally:
            # Also on Ctrl-C: nothing of ours goes on running.
            for future in pending:
                future.cancel()
            self.workers.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, group: list[_Task]) -> Clip | None:
        source = group[0].source
        self.progress.note(f"reading {source.name}")
        try:
            clip = prepare(source, self.plan.conditions, self._frames(source.name), find_ffmpeg())
            if self.plan.pictures:
                folder = f"{PICTURES_FOLDER}/{safe_name(source.name)}/original-{clip.frames_sha256[:12]}"
                frames = frames_of(clip, self.plan.pictures)
                originals = write_pictures(self._frames(source.name), clip, frames, self.results.path, folder)
                clip = dataclasses.replace(clip, originals=originals)
            return clip
        except NvcError as error:
            _require_space(str(error))
            for task in group:
                self._failed(task, str(error))
            self._frames(source.name).unlink(missing_ok=True)
            return None

    def _collect(self, pending: dict[Future[Point], _Task], open_points: dict[str, int]) -> None:
        """Wait for one point or more; store what succeeded."""
        # Waking up now and then lets Ctrl-C through on every platform.
        done, _ = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        self.progress.tick()
        for future in done:
            task = pending.pop(future)
            try:
                point = future.result()
            except NvcError as error:
                _require_space(str(error))
                self._failed(task, str(error))
            else:
                self.results.add(point)
                self.outcome.measured.append(point)
                self.progress.point(point)
            name = task.source.name
            open_points[name] -= 1
            if open_points[name] == 0:
                del open_points[name]
                self._frames(name).unlink(missing_ok=True)

    def _measure(self, task: _Task, clip: Clip) -> Point:
        folder = self.folder / task.key[:16]
        folder.mkdir()
        pictures = frames_of(clip, self.plan.pictures) if self.plan.pictures else []
        parts = (
            safe_name(clip.name),
            safe_name(task.trial.codec.name),
            f"{task.trial.quality.value:g}-{task.key[:12]}",
        )
        job = Job(
            task.key,
            clip,
            str(self._frames(clip.name)),
            task.trial,
            self.plan.conditions,
            sorted(set(self.plan.metrics), key=METRICS.index),
            self.plan.jobs,
            self.environment,
            "/".join((PICTURES_FOLDER, *parts)),
            str(self.results.path.resolve()),
            pictures,
        )
        try:
            (folder / "job.json").write_text(job.to_json())
            self.workers.run(folder / "job.json")
            return point_from_json((folder / POINT_FILE).read_text(), f"{task.trial.codec.name} on {clip.name}")
        except OSError as error:
            raise NvcError(f"{task.trial.codec.name} on {clip.name}: {error.strerror or error}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _failed(self, task: _Task, error: str) -> None:
        failure = Failure(task.source.name, task.trial.codec.name, task.quality, error)
        self.outcome.failures.append(failure)
        self.progress.failure(failure)

    def _frames(self, clip_name: str) -> Path:
        return self.folder / f"{safe_name(clip_name)}-{digest(clip_name)[:8]}.y4m"


class _Workers:
    """Worker processes now running, each the leader of its own group so that its encoder ends with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, job: Path) -> None:
        """Run one worker to its end; NvcError with its last line if it failed."""
        with self._lock:
            if self._stopped:
                raise NvcError("stopped")
            # A new session: Ctrl-C reaches only the runner, which then ends the workers in order.
            process = subprocess.Popen(
                [sys.executable, "-m", "nvcodec.rd.worker", str(job)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=_worker_environment(),
            )
            self._running.add(process)
        try:
            _, stderr = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode != 0:
            lines = stderr.decode("utf-8", "replace").strip().splitlines()
            raise NvcError(lines[-1] if lines else f"worker ended with code {process.returncode}")

    def stop(self) -> None:
        """End every worker and what it started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                try:
                    if hasattr(os, "killpg"):
                        os.killpg(process.pid, signal.SIGKILL)
                    else:
                        process.kill()
                except (ProcessLookupError, PermissionError):
                    pass


def _worker_environment() -> dict[str, str]:
    """The caller's, with this very package found first."""
    import nvcodec.rd

    root = str(Path(nvcodec.rd.__file__).parents[2])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": root + (os.pathsep + path if path else "")}


def _require_space(message: str) -> None:
    if _NO_SPACE in message:
        raise NvcError(f"the disk is full; what was measured is stored, run again to go on ({message})")


def _environment() -> dict[str, str]:
    from nvcodec.cli.version import cpu_count, cpu_description, package_version

    model, _ = cpu_description()
    return {
        "nvcodec": package_version("nvcodec"),
        "python": platform.python_version(),
        "numpy": package_version("numpy"),
        "ffmpeg": find_ffmpeg().version,
        "platform": platform.platform(),
        "processor": model,
        "processors": str(cpu_count()),
        "device": "cpu",
    }
