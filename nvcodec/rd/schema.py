# SPDX-License-Identifier: Apache-2.0
"""One measured point and its parts as dataclasses, and their JSON; described in docs/results-schema.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from nvcodec.errors import NvcError, UnsupportedError

SCHEMA_VERSION = 1
POINT_KIND = "nvcodec.rd.point"
FOLDER_KIND = "nvcodec.rd.results"
FAILURES_KIND = "nvcodec.rd.failures"

MAX_JSON_NBYTES = 64 << 20  # a point with ten series over 100,000 frames stays below this

T = TypeVar("T")


@dataclass(frozen=True)
class Conditions:
    """Under what rules a point was measured; points of different conditions never share a curve.

    frames: how many from the start (None = all). intra_period: frames between intra frames (0 = only the first);
    random-access anchors keep their encoder's default. metric: the name in ``Point.metrics`` that tables use.
    colour: "yuv420" or "rgb", the space ``metric`` is taken in. crop: (width, height) of a centred crop, or None.
    note: one line of prose, shown but not part of the identity.
    """

    name: str = "default"
    frames: int | None = None
    intra_period: int = 0
    metric: str = "psnr_yuv"
    colour: str = "yuv420"
    crop: tuple[int, int] | None = None
    note: str = ""

    @property
    def identity(self) -> str:
        """Sixteen hex digits over everything but ``note``."""
        values = dataclasses.asdict(self)
        del values["note"]
        return digest(values)[:16]


@dataclass(frozen=True)
class Clip:
    """What was coded: sizes in luma samples, ``frames`` after limit and crop, ``frame_rate`` as "num/den" Hz.

    source_sha256: of the file given; frames_sha256: of the 8-bit 4:2:0 planes Y, U, V frame by frame.
    matrix: H.273 code of the colour matrix (2 = unspecified), full_range: whether samples use 0..255.
    notes: one line for each conversion applied. originals: frame index -> picture in the results folder.
    """

    name: str
    width: int
    height: int
    frames: int
    frame_rate: str
    source: str
    source_sha256: str
    frames_sha256: str
    matrix: int = 2
    full_range: bool = False
    notes: list[str] = field(default_factory=list)
    originals: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Duration at the nominal frame rate."""
        return float(self.frames / Fraction(self.frame_rate))


@dataclass(frozen=True)
class CodecRecord:
    """Which codec: ``name`` as given to --codec ("x265:medium:ld:psnr"), ``family`` ("x264", "x265", "svtav1",
    "vvenc", "ours"), ``profile`` ("ld" or "ra"), ``tune`` ("" or "psnr"), ``version`` of the encoder with its build,
    ``weights_sha256`` of a learned model, ``settings`` everything else that decides the bytes."""

    name: str
    family: str
    profile: str
    version: str
    tune: str = ""
    preset: str = ""
    weights_sha256: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Sixteen hex digits; points of one curve agree in it."""
        return digest(dataclasses.asdict(self))[:16]


@dataclass(frozen=True)
class Quality:
    """The knob: ``parameter`` is "crf", "qp" or "quality"; ``value`` what was asked."""

    parameter: str
    value: float


@dataclass(frozen=True)
class Rate:
    """nbytes: size of the file. kbps: 1000 bit/s at the nominal frame rate. bpp: bits per luma sample.

    frame_nbytes: bytes of each frame in display order where the encoder tells, else empty; headers and container make
    their sum differ a little from ``nbytes``. container: how the file is wrapped ("raw", "obu", "nvc", ...).
    """

    nbytes: int
    kbps: float
    bpp: float
    container: str
    frame_nbytes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Timing:
    """Wall seconds of the whole encode and decode commands, start-up and file access included.

    threads: CPU threads each was allowed (0 = all); jobs: how many commands shared the machine.
    """

    encode_s: float
    decode_s: float
    threads: int
    jobs: int


@dataclass(frozen=True)
class Point:
    """One clip, one codec, one quality, measured. All fields of the JSON but the two of the schema itself.

    metrics: name -> value over the clip; series: name -> one value per frame; both finite.
    models: what a metric depends on, e.g. {"vmaf": "vmaf_v0.6.1"}. commands: "encode" and "decode" as argument lists.
    pictures: frame index -> decoded picture (path relative to the results folder), empty unless asked for.
    """

    key: str
    clip: Clip
    codec: CodecRecord
    quality: Quality
    conditions: Conditions
    rate: Rate
    timing: Timing
    metrics: dict[str, float]
    series: dict[str, list[float]]
    models: dict[str, str] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    measured_at: str = ""
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A point that could not be measured in the last run, and why in one line."""

    clip: str
    codec: str
    quality: str
    error: str


def digest(value: Any) -> str:
    """SHA-256 in hex of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def point_to_json(point: Point) -> str:
    """The text of a point's file; floats keep nine significant digits."""
    body = {"schema": POINT_KIND, "schema_version": SCHEMA_VERSION, **_rounded(dataclasses.asdict(point))}
    text = json.dumps(body, indent=1, allow_nan=False)
    # One line for each list of numbers: a file that people can read and version control can compare.
    return re.sub(r"\[[\s\d.,eE+-]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


def point_from_json(text: str, where: str) -> Point:
    """Read and check one point; ``where`` names it in errors.

    Raises UnsupportedError for another schema version, NvcError for anything else that is wrong.
    """
    point = _build(Point, open_document(text, POINT_KIND, where), where)
    _check_point(point, where)
    return point


def open_document(text: str, kind: str, where: str) -> dict[str, Any]:
    """Parse JSON, check kind and version, and return the other fields."""
    try:
        body = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise NvcError(f"{where}: not valid JSON ({error})") from None
    except RecursionError:
        raise NvcError(f"{where}: not valid JSON (nested too deep)") from None
    if not isinstance(body, dict) or body.pop("schema", None) != kind:
        raise NvcError(f"{where}: not a file of kind {kind}")
    version = body.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise UnsupportedError(f"{where}: results schema version {version!r}, this build reads {SCHEMA_VERSION}")
    return body


def read_text(path: Path) -> str:
    """The file as text, refused above MAX_JSON_NBYTES."""
    try:
        nbytes = path.stat().st_size
        if nbytes > MAX_JSON_NBYTES:
            raise NvcError(f"{path}: {nbytes} bytes, at most {MAX_JSON_NBYTES} allowed for a results file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NvcError(f"{path}: cannot be read ({error})") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _check_point(point: Point, where: str) -> None:
    clip, rate = point.clip, point.rate
    if not (clip.frames > 0 and clip.width > 0 and clip.height > 0):
        raise NvcError(f"{where}: clip is {clip.width}x{clip.height} with {clip.frames} frames, all must be positive")
    try:
        hertz = Fraction(clip.frame_rate)
    except (ValueError, ZeroDivisionError):
        hertz = Fraction(0)
    if hertz <= 0:
        raise NvcError(f"{where}: frame_rate is {clip.frame_rate!r}, a positive fraction like 30000/1001 is needed")
    if rate.nbytes <= 0 or rate.bpp <= 0 or rate.kbps <= 0:
        raise NvcError(
            f"{where}: rate is {rate.nbytes} bytes, {rate.bpp} bpp, {rate.kbps} kbit/s; all must be positive"
        )
    for name, series in point.series.items():
        if len(series) != clip.frames:
            raise NvcError(f"{where}: series {name} has {len(series)} values for {clip.frames} frames")
    if rate.frame_nbytes and len(rate.frame_nbytes) != clip.frames:
        raise NvcError(f"{where}: frame_nbytes has {len(rate.frame_nbytes)} values for {clip.frames} frames")
    for path in [*point.pictures.values(), *clip.originals.values()]:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise NvcError(f"{where}: picture {path!r} must lie inside the results folder")


def _build(kind: type[T], value: Any, where: str) -> T:
    """Make a dataclass from parsed JSON; every field must have the declared type, and no others may be there."""
    if not isinstance(value, dict):
        raise NvcError(f"{where}: expected an object for {kind.__name__}, got {_named(value)}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(value) - set(fields)):
        raise NvcError(f"{where}: unknown field {unknown[0]!r} in {kind.__name__}")
    arguments = {}
    for name, declared in fields.items():
        if name in value:
            arguments[name] = _convert(hints[name], value[name], f"{where}: {name}")
        elif declared.default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING:
            raise NvcError(f"{where}: field {name!r} of {kind.__name__} is missing")
    return kind(**arguments)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in inner:
            return None
        return _convert(next(t for t in inner if t is not types.NoneType), value, where)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    # Series are long: no call for each of their values.
    if hint == list[float] and isinstance(value, list) and all(type(v) is float and math.isfinite(v) for v in value):
        return value
    if origin is list and isinstance(value, list):
        return [_convert(inner[0], item, where) for item in value]
    if origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(_convert(t, item, where) for t, item in zip(inner, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: _convert(inner[1], item, where) for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint in (str, bool, int) and type(value) is hint:
        return value
    raise NvcError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {_named(value)}")


def _named(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
