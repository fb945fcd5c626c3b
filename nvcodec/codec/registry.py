# SPDX-License-Identifier: Apache-2.0
"""Codecs by name and by the number that streams carry.

Numbers are frozen: a stream written today must find its decoder for as long as the format lives.

    1                 conditional, the neural codec of this package
    2 .. 15           other codecs of this package
    16 .. 47          implicit representations, one number for each recipe
    48 .. 32767       not assigned
    32768 .. 65535    third parties (numbers are theirs to choose; a clash raises)

A third party decorates its class with ``register``, or declares an entry point, after which the codec appears
everywhere by itself:

    [project.entry-points."nvcodec.codecs"]
    toy = "toy_codec:ToyCodec"
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from nvcodec.errors import NvcError, UnsupportedError, UsageError

if TYPE_CHECKING:  # the command line asks for names before it needs any of these
    from importlib.metadata import EntryPoint

    from nvcodec.codec.protocol import Codec

ENTRY_POINT_GROUP = "nvcodec.codecs"
DEFAULT_CODEC = "conditional"

# name -> (frozen number, where its class is). Never change a number; never use one again.
BUILT_IN: dict[str, tuple[int, str]] = {
    "conditional": (1, "nvcodec.codec.conditional:ConditionalCodec"),
    "hnerv": (16, "nvcodec.codec.implicit:hnerv"),
    "nerv": (17, "nvcodec.codec.implicit:nerv"),
    "e-nerv": (18, "nvcodec.codec.implicit:e-nerv"),
    "nervpp": (19, "nvcodec.codec.implicit:nervpp"),
    "boost-hnerv": (20, "nvcodec.codec.implicit:boost-hnerv"),
    "boost-nerv": (21, "nvcodec.codec.implicit:boost-nerv"),
    "boost-e-nerv": (22, "nvcodec.codec.implicit:boost-e-nerv"),
    "nirvana": (23, "nvcodec.codec.implicit:nirvana"),
    "cam": (24, "nvcodec.codec.implicit:cam"),
    "pfnr": (25, "nvcodec.codec.implicit:pfnr"),
    "hinerv": (26, "nvcodec.codec.implicit:hinerv"),
    "pyramid": (27, "nvcodec.codec.pyramid:PyramidCodec"),
}
ALIASES = {"nerv++": "nervpp"}  # names as papers write them
IMPLICIT_IDS = range(16, 48)
THIRD_PARTY_IDS = range(32768, 65536)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_Class = TypeVar("_Class", bound="Callable[[], Codec]")

_factories: dict[str, Callable[[], Codec]] = {}  # by ``register``
_instances: dict[str, Codec] = {}


def register(factory: _Class) -> _Class:
    """Class decorator: make a codec known in this process by its class attributes ``name`` and ``codec_id``.

    name: 1 to 32 of a-z 0-9 _ . -, beginning with a letter or digit; codec_id: 32768 to 65535, or the number that
    BUILT_IN has for this name. Raises UsageError for anything else, and for a name or number that is already taken.
    """
    name, codec_id = getattr(factory, "name", None), getattr(factory, "codec_id", None)
    _check(name, codec_id)
    assert isinstance(name, str)
    taken = _factories.get(name)
    if taken is not None:
        raise UsageError(f"codec {name!r} is registered already, as {_place(taken)}")
    if name in BUILT_IN and _place(factory) != BUILT_IN[name][1]:
        raise UsageError(f"codec {name!r} is built in; choose another name")
    for other, known in _factories.items():
        if getattr(known, "codec_id", None) == codec_id:
            raise UsageError(f"codec {name!r} has number {codec_id}, which is that of codec {other!r}")
    _factories[name] = factory
    return factory


def get_codec(name: str) -> Codec:
    """The codec of a name: built in, registered in this process, or an installed entry point.

    Raises UsageError for an unknown name (it lists those there are), NvcError when the codec cannot be loaded.
    """
    name = ALIASES.get(name, name)
    if name not in _instances:
        _instances[name] = _make(name)
    return _instances[name]


def get_codec_by_id(codec_id: int) -> Codec:
    """The codec whose number stands in a stream's header.

    Raises UnsupportedError when no installed codec has it, NvcError when the codec cannot be loaded.
    """
    for name, (number, _) in BUILT_IN.items():
        if number == codec_id:
            return get_codec(name)
    for name, factory in _factories.items():
        if getattr(factory, "codec_id", None) == codec_id:
            return get_codec(name)
    found, failures = [], []
    for name in _entry_points() if codec_id in THIRD_PARTY_IDS else ():
        try:
            codec = get_codec(name)
        except NvcError as exc:  # a broken plugin must not hide a working one
            failures.append(str(exc))
            continue
        if codec.codec_id == codec_id:
            found.append(name)
    if len(found) > 1:
        raise NvcError(f"codec number {codec_id} is claimed by {', '.join(found)}; uninstall all but one")
    if not found:
        why = "".join(f"; {failure}" for failure in failures)
        raise UnsupportedError(f"no installed codec has number {codec_id}; there are {', '.join(codec_names())}{why}")
    return get_codec(found[0])


def get_codec_number(name: str) -> int | None:
    """The frozen number of a built-in codec, without loading it; None for any other name."""
    name = ALIASES.get(name, name)
    return BUILT_IN[name][0] if name in BUILT_IN else None


def codec_names() -> list[str]:
    """Names of every codec there is, the built-in ones first; loads none of them."""
    return list(dict.fromkeys([*BUILT_IN, *sorted([*_factories, *_entry_points()])]))


def _make(name: str) -> Codec:
    if name in _factories:
        return _factories[name]()
    if name in BUILT_IN:
        return _load_built_in(name)
    points = _entry_points()
    if name not in points:
        raise UsageError(f"codec {name!r} is not known; there are {', '.join(codec_names())}")
    point = points[name]
    try:
        loaded = point.load()
        codec: Codec = loaded() if callable(loaded) else loaded
    except Exception as exc:  # whatever a plugin does on import must end in one line
        raise NvcError(f"codec {name!r} ({point.value}) cannot be loaded: {type(exc).__name__}: {exc}") from exc
    _check(getattr(codec, "name", None), getattr(codec, "codec_id", None))
    if codec.name != name:
        raise NvcError(f"codec {name!r} ({point.value}) calls itself {codec.name!r}; the two names must be equal")
    return codec


def _load_built_in(name: str) -> Codec:
    module_name, _, class_name = BUILT_IN[name][1].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        raise NvcError(f"codec {name!r} cannot be loaded: {exc.name} is not installed") from exc
    codec: Codec = getattr(module, class_name)()
    return codec


def _entry_points() -> dict[str, EntryPoint]:
    """Installed third-party codecs; NvcError when two claim one name."""
    from importlib import metadata

    points: dict[str, EntryPoint] = {}
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        other = BUILT_IN[point.name][1] if point.name in BUILT_IN else getattr(points.get(point.name), "value", None)
        if other is not None and other != point.value:
            raise NvcError(f"codec {point.name!r} is claimed by {other} and by {point.value}; uninstall one of them")
        points[point.name] = point
    return points


def _check(name: object, codec_id: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"codec name is {name!r}; 1 to 32 of a-z 0-9 _ . - are allowed")
    if name in BUILT_IN and codec_id == BUILT_IN[name][0]:
        return
    if not isinstance(codec_id, int) or codec_id not in THIRD_PARTY_IDS:
        raise UsageError(
            f"codec {name!r} has number {codec_id!r}; "
            f"{THIRD_PARTY_IDS.start} to {THIRD_PARTY_IDS.stop - 1} are for third parties"
        )


def _place(factory: object) -> str:
    return f"{getattr(factory, '__module__', '?')}:{getattr(factory, '__qualname__', type(factory).__qualname__)}"
