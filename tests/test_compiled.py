# SPDX-License-Identifier: Apache-2.0
"""Compiled functions: arrays on the stack, one machine code for all constants, none of the interpreter's counters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import TypingError

import nvcodec.compiled as compiled_module
from nvcodec.compiled import compiled, scratch, zeroed

COUNT = 5


@compiled
def _add(values, n, pair):
    return values[n] + pair[0]


@compiled
def add_constants(values):
    """With constants and small integers of several types."""
    return (
        _add(values, 2, (1, values))
        + _add(values, np.uint8(3), (2, values))
        + _add(values, len(values) - 1, (3, values))
    )


@compiled
def fill_both(values, out):
    """One array that begins with zeros, and one that begins with anything, in a loop."""
    for n in range(len(values)):
        some, room = zeroed((2, COUNT), np.int32), scratch(COUNT, np.float64)
        for i in range(COUNT):
            room[i] = values[n] * i
            some[i & 1, i] += np.int32(room[i])
        total = np.int32(0)
        for i in range(COUNT):
            total += some[0, i] - some[1, i]
        out[n] = total


def test_constants_do_not_make_another_function() -> None:
    values = np.arange(10)
    assert add_constants(values) == 2 + 1 + 3 + 2 + 9 + 3
    assert len(_add.signatures) <= 1  # none where it was found on the disk
    assert add_constants(values) == add_constants.py_func(values)


def test_arrays_on_the_stack_begin_anew() -> None:
    values, out = np.arange(100), np.zeros(100, np.int64)
    fill_both(values, out)
    assert np.array_equal(out, values * (0 - 1 + 2 - 3 + 4))


def test_threads_have_arrays_of_their_own() -> None:
    values = np.arange(20000)
    outs = [np.zeros(len(values), np.int64) for _ in range(4)]
    threads = [threading.Thread(target=fill_both, args=(values, out)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(out, 2 * values) for out in outs)


def test_compiled_code_cannot_ask_for_memory() -> None:
    @compiled
    def ask(n):  # type: ignore[no-untyped-def]
        return np.zeros(n)[0]

    @compiled
    def unknown(n):  # type: ignore[no-untyped-def]
        return zeroed(n, np.int32)[0]

    for function in (ask, unknown):
        with pytest.raises(TypingError):
            function(3)


def test_without_a_compiler_the_same_comes_out() -> None:
    program = (
        "import numpy as np; import test_compiled as t; out = np.zeros(9, np.int64); t.fill_both(np.arange(9), out)"
    )
    program += "; print(out.tolist(), t.add_constants(np.arange(10)))"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[0] == f"{list(range(0, 18, 2))} 20"


WARM = """
import gc, io, json
from numba.core.dispatcher import Dispatcher
import nvcodec
from nvcodec import warm
from nvcodec.media.test_pattern import moving_pattern, pattern_format

def known():
    found = (f for f in gc.get_objects() if isinstance(f, Dispatcher))
    return {(f.py_func.__module__, f.py_func.__qualname__, str(s)) for f in found for s in f.signatures}

encoder, decoder = nvcodec.Encoder(pattern_format(64, 48), quality=32), nvcodec.Decoder()
stream = b"".join([encoder.encode(*frame.planes) for frame in moving_pattern(64, 48, 20)]) + encoder.finish()
decoder.decode(stream)
decoder.finish()
used = known()
warm.main()
print(json.dumps([sorted(known() - used), [name for _, name, _ in used]]))
"""
LARGE = ["choose_blocks", "code_blocks", "code_latents", "costs_alone", "encode_intra", "settle_inter"]


@pytest.mark.usefixtures("compiled_kernels")
def test_what_is_compiled_ahead_is_what_coding_uses() -> None:
    """And what takes long is compiled once: a whole number where others give a fraction would do it all over again."""
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    idle, used = json.loads(done.stdout)
    assert idle == []
    assert {name: used.count(name) for name in LARGE} == dict.fromkeys(LARGE, 1)


NAMES = """
import importlib, json, pkgutil, sys
from nvcodec.models import kernels
importlib.import_module(sys.argv[1])
made = {}
for name in sorted(module.name for module in pkgutil.iter_modules(kernels.__path__)):
    for f in vars(importlib.import_module(f"{kernels.__name__}.{name}")).values():
        python = getattr(f, "py_func", None)
        if "<locals>" in getattr(python, "__qualname__", ""):
            made[f"{python.__module__} {python.__qualname__}"] = f._cache._impl.filename_base
print(json.dumps(made))
"""


def test_functions_of_one_factory_have_names_of_their_own_in_every_process() -> None:
    """Numba calls what it keeps by name and by a count of functions, which is another one in another process. They are
    the same names in each: else none would find what another kept."""
    found = []
    for before in ("cosines", "flow", "network"):
        command = [sys.executable, "-c", NAMES, f"nvcodec.models.kernels.{before}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found.append(json.loads(done.stdout))
    names = list(found[0])
    assert len(set(found[0].values())) == len(names)
    assert sum("cosines" in name for name in names) == 5
    assert sum("convolve" in name for name in names) == 2
    assert found == [found[0]] * 3


@pytest.mark.parametrize(("processors", "helpers"), [(2, 1), (1, 0)])
def test_a_first_use_gets_help_once(
    processors: int, helpers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **options: Any):
            assert options["env"]["NVC_COMPILES_FOR_ANOTHER"] == "1"
            started.append(command)

        def kill(self) -> None:
            """Not running."""

    monkeypatch.setattr(compiled_module, "folder", lambda: tmp_path)
    monkeypatch.setattr(compiled_module.subprocess, "Popen", Process)
    monkeypatch.setattr(compiled_module.os, "cpu_count", lambda: processors)
    compiled_module.announce()
    assert len(started) == helpers
    monkeypatch.setenv("NVC_COMPILES_FOR_ANOTHER", "1")
    compiled_module.announce()
    monkeypatch.delenv("NVC_COMPILES_FOR_ANOTHER")
    (tmp_path / "kernel.nbi").touch()
    compiled_module.announce()
    assert len(started) == helpers
