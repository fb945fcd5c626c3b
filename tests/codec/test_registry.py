# SPDX-License-Identifier: Apache-2.0
"""Codecs by name and number; clashes raise; nothing heavy is loaded to list names."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from nvcodec.codec import registry
from nvcodec.errors import NvcError, UnsupportedError, UsageError


def codec_class(name: object, codec_id: object) -> type:
    return type("Some", (), {"name": name, "codec_id": codec_id})


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", {})
    monkeypatch.setattr(registry, "_instances", {})


def entry_points(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [
        metadata.EntryPoint(name.rstrip("_"), value, registry.ENTRY_POINT_GROUP) for name, value in values.items()
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints(points))


BUILT_IN = list(registry.BUILT_IN)
IMPLICIT = (
    *("hnerv", "nerv", "e-nerv", "nervpp", "boost-hnerv", "boost-nerv", "boost-e-nerv", "nirvana", "cam", "pfnr"),
    *("hinerv", "pyramid"),
)


def test_numbers_are_frozen() -> None:
    numbers = {name: number for name, (number, _) in registry.BUILT_IN.items()}
    assert numbers == {"conditional": 1, **{name: 16 + place for place, name in enumerate(IMPLICIT)}}
    assert len(set(numbers.values())) == len(numbers)
    assert all(1 <= number < 48 for number in numbers.values())
    assert (registry.IMPLICIT_IDS[0], registry.IMPLICIT_IDS[-1]) == (16, 47)
    assert (registry.THIRD_PARTY_IDS[0], registry.THIRD_PARTY_IDS[-1]) == (32768, 65535)


def test_decorator_registers_and_returns_the_class() -> None:
    cls = registry.register(codec_class("mine", 40000))
    codec = registry.get_codec("mine")
    assert isinstance(codec, cls)
    assert registry.get_codec("mine") is codec
    assert registry.get_codec_by_id(40000) is codec
    assert registry.codec_names() == [*BUILT_IN, "mine"]


@pytest.mark.parametrize(("name", "codec_id"), [("mine", 40001), ("other", 40000), ("conditional", 1)])
def test_duplicates_raise(name: str, codec_id: int) -> None:
    registry.register(codec_class("mine", 40000))
    with pytest.raises(UsageError, match=r"mine|built in"):
        registry.register(codec_class(name, codec_id))
    assert registry.codec_names() == [*BUILT_IN, "mine"]


@pytest.mark.parametrize(
    ("name", "codec_id"),
    [
        *(("a", codec_id) for codec_id in (1, 20, 32767, 65536, -1, "40000", None)),
        *((name, 40000) for name in ("", "A b", "x" * 33, None, "conditional")),
    ],
)
def test_names_and_numbers_out_of_range(name: object, codec_id: object) -> None:
    with pytest.raises(UsageError):
        registry.register(codec_class(name, codec_id))


def test_unknown_names_and_numbers() -> None:
    with pytest.raises(UsageError, match=r"'nothing' is not known; there are conditional"):
        registry.get_codec("nothing")
    for number in (0, 2, 28, 47, 48, 32768, 65535):
        with pytest.raises(UnsupportedError, match=str(number)):
            registry.get_codec_by_id(number)


def test_entry_points_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("some_plugin")
    module.Some = codec_class("plug", 50000)  # type: ignore[attr-defined]
    module.Other = codec_class("other", 50001)()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    entry_points(monkeypatch, plug="some_plugin:Some", other="some_plugin:Other", broken="no_such_module:X")
    assert registry.codec_names() == [*BUILT_IN, "broken", "other", "plug"]
    assert registry.get_codec("plug").codec_id == 50000
    assert registry.get_codec_by_id(50001) is module.Other  # type: ignore[attr-defined]
    with pytest.raises(NvcError, match=r"'broken' \(no_such_module:X\) cannot be loaded"):
        registry.get_codec("broken")
    with pytest.raises(UnsupportedError, match="no_such_module"):
        registry.get_codec_by_id(50002)


def test_entry_points_that_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(monkeypatch, plug="a:A", plug_="b:B")
    with pytest.raises(NvcError, match="'plug' is claimed by a:A and by b:B"):
        registry.codec_names()
    entry_points(monkeypatch, conditional="a:A")
    with pytest.raises(NvcError, match="'conditional' is claimed"):
        registry.codec_names()
    module = type(sys)("some_plugin")
    module.One, module.Two = codec_class("one", 50000), codec_class("two", 50000)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    entry_points(monkeypatch, one="some_plugin:One", two="some_plugin:Two", three="some_plugin:One")
    with pytest.raises(NvcError, match="50000 is claimed by one, two"):
        registry.get_codec_by_id(50000)
    with pytest.raises(NvcError, match="calls itself 'one'"):
        registry.get_codec("three")


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, nvcodec, nvcodec.stream; from nvcodec.codec.registry import codec_names; codec_names()\n"
        "print([m for m in ('numpy', 'torch', 'av', 'compressai', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
