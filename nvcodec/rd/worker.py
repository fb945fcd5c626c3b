# SPDX-License-Identifier: Apache-2.0
"""One point measured in a process of its own: encode, decode afresh, compare.

``python -m nvcodec.rd.worker JOB.json`` writes the point beside the job as ``point.json``; a failure is one line on
stderr and exit code 1. A process for each point keeps a crash, or memory running out, from taking others with it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from nvcodec.errors import NvcError
from nvcodec.rd.codecs import DECODED, SOURCE, STATS, STREAM, Trial
from nvcodec.rd.ffmpeg import run_command
from nvcodec.rd.schema import Clip, CodecRecord, Conditions, Point, Quality, Rate, Timing, point_to_json

POINT_FILE = "point.json"


@dataclass(frozen=True)
class Job:
    """All a worker needs; ``source`` is the prepared y4m, ``pictures`` maps frame index to a PNG to write."""

    key: str
    clip: Clip
    source: str
    trial: Trial
    conditions: Conditions
    metrics: list[str]
    jobs: int
    environment: dict[str, str]
    picture_folder: str = ""
    picture_root: str = ""
    picture_frames: list[int] = field(default_factory=list)

    def to_json(self) -> str:
        """Text that ``from_json`` reads back; written and read by the same build only."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job a runner wrote."""
        body: dict[str, Any] = json.loads(text)
        trial = body["trial"]
        trial["codec"] = CodecRecord(**trial["codec"])
        trial["quality"] = Quality(**trial["quality"])
        crop = body["conditions"]["crop"]
        body["conditions"]["crop"] = tuple(crop) if crop else None
        body |= {
            "clip": Clip(**body["clip"]),
            "trial": Trial(**trial),
            "conditions": Conditions(**body["conditions"]),
        }
        return cls(**body)


# libvvenc in ffmpeg sometimes ends at once, without a frame and without an error; the same command then works
ATTEMPTS = 5


def measure_point(job: Job, folder: Path) -> Point:
    """Encode, decode and measure inside ``folder``, which the caller removes."""
    from nvcodec.metrics.measure import measure_all

    trial, name = job.trial, f"{job.trial.codec.name} at {job.trial.quality.value:g} on {job.clip.name}"
    paths = {
        SOURCE: Path(job.source),
        STREAM: folder / f"stream{trial.suffix}",
        DECODED: folder / "decoded.y4m",
        STATS: folder / "frames.txt",
    }
    for _ in range(ATTEMPTS):
        encode = run_command(_filled(trial.encode, paths), f"{name}: encoding", check_options=trial.check_options)
        if paths[STREAM].is_file() and paths[STREAM].stat().st_size:
            break
    nbytes = _size(paths[STREAM], f"{name}: encoding")
    decode = run_command(_filled(trial.decode, paths), f"{name}: decoding")
    _size(paths[DECODED], f"{name}: decoding")
    scores = measure_all(
        paths[SOURCE],
        paths[DECODED],
        job.metrics,
        frame_rate=Fraction(job.clip.frame_rate),
        matrix=job.clip.matrix,
        full_range=job.clip.full_range,
    )
    return Point(
        job.key,
        job.clip,
        trial.codec,
        trial.quality,
        job.conditions,
        _rate(nbytes, job.clip, trial.container, _frame_nbytes(trial, paths, job.clip.frames)),
        Timing(
            round(encode.seconds, 4), round(decode.seconds, 4), int(trial.codec.settings.get("threads", 0)), job.jobs
        ),
        scores.metrics,
        scores.series,
        scores.models,
        {"encode": shown(trial.encode), "decode": shown(trial.decode)},
        job.environment,
        datetime.now(UTC).isoformat(timespec="seconds"),
        _pictures(job, paths[DECODED]),
    )


def shown(command: list[str]) -> list[str]:
    """A command as it is stored: programs by name, not by their place on this machine."""
    program = "python" if command[0] == sys.executable else "ffmpeg"
    return [program, *command[1:]]


def read_frame_nbytes(path: Path, frames: int) -> list[int]:
    """Bytes per frame in display order from "pts bytes" lines; empty if there are none or they do not add up."""
    try:
        rows = sorted(tuple(map(int, line.split())) for line in path.read_text().splitlines())
    except (OSError, ValueError):
        return []
    return [row[1] for row in rows] if len(rows) == frames and all(len(row) == 2 for row in rows) else []


def _frame_nbytes(trial: Trial, paths: dict[str, Path], frames: int) -> list[int]:
    if trial.container == "nvc":
        from nvcodec.rd.ours import unit_nbytes

        return unit_nbytes(paths[STREAM], frames)
    return read_frame_nbytes(paths[STATS], frames)


def _rate(nbytes: int, clip: Clip, container: str, frame_nbytes: list[int]) -> Rate:
    bits = 8.0 * nbytes
    bpp = bits / (clip.width * clip.height * clip.frames)
    return Rate(nbytes, bits / clip.seconds / 1000.0, bpp, container, frame_nbytes)


def _filled(command: list[str], paths: dict[str, Path]) -> list[str]:
    places = {key: str(path) for key, path in paths.items()}
    return [places.get(part, part) for part in command]


def _size(path: Path, what: str) -> int:
    nbytes = path.stat().st_size if path.is_file() else 0
    if nbytes == 0:
        raise NvcError(f"{what} wrote nothing")
    return nbytes


def _pictures(job: Job, decoded: Path) -> dict[str, str]:
    if not job.picture_frames:
        return {}
    from nvcodec.rd.pictures import write_pictures

    return write_pictures(decoded, job.clip, job.picture_frames, Path(job.picture_root), job.picture_folder)


def main(arguments: list[str]) -> int:
    """Run the job whose file is named."""
    path = Path(arguments[0])
    try:
        point = measure_point(Job.from_json(path.read_text()), path.parent)
        (path.parent / POINT_FILE).write_text(point_to_json(point))
    except NvcError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    except MemoryError:
        print("out of memory", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{os.path.basename(error.filename or 'file')}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
