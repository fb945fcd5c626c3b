# SPDX-License-Identifier: Apache-2.0
"""The decorator of compiled integer loops: Numba, without the interpreter's lock, kept on disk.

Compiled code allocates nothing and counts no references: counters are shared between threads, and counting took an
eighth of the time. What it needs room for a function takes from its stack, by `scratch` or `zeroed`, or is given.

Numba looks only at a function's own file to tell whether what it kept is still true, but code of one file is compiled
into callers in others. So compiled code is kept in a folder named after all sources together, this one included: in
the user's cache folder (or NUMBA_CACHE_DIR), or in a temporary one where that cannot be written.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.core import cgutils
from numba.core.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

# Casts an index that is never negative. Without it Numba asks of each whether it counts from the end, and what it makes
# of loops around sums of indices are not vector instructions.
place = np.uint64

_HELPS = "NVC_COMPILES_FOR_ANOTHER"  # in the environment of a process that `announce` started
_SOURCES = (
    *("entropy/binary.py", "entropy/mixing.py", "entropy/odds.py"),
    *("models/depth.py", "models/kernels", "models/transform.py"),
)


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@compiled`` or ``@compiled(fastmath=True)``."""
    if function is None:
        return lambda f: compiled(f, **options)
    if function.__closure__:
        function.__qualname__ += _of_closure(function)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder())
    try:
        dispatcher = njit(cache=True, nogil=True, _nrt=False, no_cfunc_wrapper=True, **options)(function)
    finally:
        config.CACHE_DIR = before
    if config.DISABLE_JIT:
        return dispatcher
    # Numba would compile a function anew for every constant it is called with, though it makes the same code of it.
    resolve = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: resolve([_general(kind) for kind in args], kws)
    return dispatcher


def _of_closure(function: Callable[..., Any]) -> str:
    """What tells functions made by one factory apart, for their names.

    Numba names machine code after function, types and a number that counts functions as a process makes them. Of two
    functions called alike, kept by one process, another, which made others before, may know one by the number of the
    other, and would call it in its place.
    """
    total = hashlib.sha256()
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        if hasattr(value, "py_func"):  # a compiled one: what it is shown as has its address, which is another each time
            value = f"{value.py_func.__module__}.{value.py_func.__qualname__}"
        total.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return f"_{total.hexdigest()[:12]}"


def _general(kind: types.Type) -> types.Type:
    """The type of an argument without its value, small integers as large ones."""
    if isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple):
        return types.Tuple([_general(part) for part in kind.types])
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.bitwidth < 32 else kind


def _on_stack(zero: bool) -> Any:
    """A function that compiled code calls with a constant shape and a type for an array on its stack."""

    @intrinsic(prefer_literal=True)
    def array(context, shape, dtype):  # type: ignore[no-untyped-def]
        """An array that lasts as long as the function that asked for it; asked for in a loop, it is the same one."""
        sides = shape.types if isinstance(shape, types.BaseTuple) else (shape,)
        if not all(isinstance(side, types.IntegerLiteral) for side in sides):
            return None
        lengths = [side.literal_value for side in sides]
        kind = types.Array(dtype.dtype, len(lengths), "C")

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            item = context.get_data_type(dtype.dtype)
            nbytes = [context.get_abi_sizeof(item)]  # of an item, a row, ... all
            for length in reversed(lengths):
                nbytes.append(nbytes[-1] * length)
            with builder.goto_entry_block():  # as Numba's own way does, which fills what it finds with zeros
                data = builder.alloca(ir.ArrayType(item, nbytes[-1] // nbytes[0]))
            data.align = 64
            if zero:
                cgutils.memset(builder, data, context.get_constant(types.intp, nbytes[-1]), 0)
            out = make_array(kind)(context, builder)
            populate_array(
                out,
                data=builder.bitcast(data, item.as_pointer()),
                shape=[context.get_constant(types.intp, length) for length in lengths],
                strides=[context.get_constant(types.intp, n) for n in reversed(nbytes[:-1])],
                itemsize=context.get_constant(types.intp, nbytes[0]),
                meminfo=None,
            )
            return out._getvalue()

        return kind(shape, dtype), generate

    return array


if config.DISABLE_JIT:
    scratch, zeroed = np.empty, np.zeros
else:
    scratch, zeroed = _on_stack(False), _on_stack(True)  # as those two, of a shape that is known when compiling


@cache
def folder() -> Path:
    """Where compiled code of these sources is kept."""
    total = hashlib.sha256()
    for path in (Path(__file__), *sources()):
        total.update(path.read_bytes())
    name = f"kernels-{total.hexdigest()[:16]}"
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else _user_cache() / "nvc"
    try:
        (base / name).mkdir(parents=True, exist_ok=True)
        if os.access(base / name, os.W_OK):
            return base / name
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="nvc-kernels-"))


def sources() -> list[Path]:
    """The files that hold compiled functions."""
    import nvcodec.entropy
    import nvcodec.models

    roots = {"entropy": nvcodec.entropy.__path__[0], "models": nvcodec.models.__path__[0]}
    found = [Path(__file__).with_name("vectors.py")]
    for entry in _SOURCES:
        top, _, rest = entry.partition("/")
        path = Path(roots[top]) / rest
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return found


def announce() -> None:
    """Say so when the first use on this machine will take longer, as far as the disk shows, and get help with it from
    another process if there is a processor for one."""
    if config.DISABLE_JIT or any(folder().rglob("*.nbi")):
        return
    logging.getLogger("nvcodec").info("compiling for this processor: a few minutes, only this time")
    if (os.cpu_count() or 1) > 1 and _HELPS not in os.environ:
        command, environment = [sys.executable, "-m", "nvcodec.warm"], {**os.environ, _HELPS: "1"}
        helper = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        atexit.register(helper.kill)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
