#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decode one stream in many processes, each set up differently, and print whether their pixels are the same.

    python scripts/exactness_matrix.py [STREAM.nvc]

Without a stream a short moving pattern is encoded first. Each row is a fresh process: other numbers of threads,
compiled for other processors, without any compiler, by the interpreter itself, and with the network in the loop by
PyTorch, on the processor and on a GPU. Compiling for a processor
for the first time takes a while. Exit code 1 when any row differs from the first, or that one from the encoder's
checksums.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

import nvcodec
from nvcodec.media.test_pattern import moving_pattern, pattern_format

FRAMES, WIDTH, HEIGHT = 20, 72, 56
AVX_512 = "+sse2,+sse4.2,+avx,+avx2,+fma,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"


class Row(NamedTuple):
    """How one process decodes; device: see `nvcodec.decode`."""

    name: str
    threads: int = 2
    environment: Mapping[str, str] = MappingProxyType({})
    device: str = "cpu"


ROWS = [
    Row("this processor, 1 thread", 1),
    Row("this processor, 2 threads"),
    Row("this processor, 8 threads", 8),
    Row("x86-64 of 2003 (SSE2)", 2, {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}),
    Row("the same, products one by one", 2, {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}),
    Row("x86-64-v2 (SSE4.2)", 2, {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse2,+sse4.1,+sse4.2"}),
    Row("x86-64-v3 (AVX2)", 2, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+sse4.2,+avx,+avx2,+fma"}),
    Row("x86-64-v4 (AVX-512)", 2, {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": AVX_512}),
    Row("no optimisation by the compiler", 2, {"NUMBA_OPT": "0"}),
    Row("no compiler: the interpreter", 1, {"NUMBA_DISABLE_JIT": "1"}),
    Row("network by PyTorch, this processor", device="cpu:0"),
    Row("network by PyTorch, a GPU", device="cuda"),
]
NEEDS = {"x86-64-v3 (AVX2)": "avx2", "x86-64-v4 (AVX-512)": "avx512bw"}


def main() -> int:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", nargs="?", type=Path, help="a short stream (the interpreter's row is slow)")
    parser.add_argument("--decode", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.decode:
        print(pixels(args.stream, args.threads, args.device))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        stream = args.stream or Path(folder) / "pattern.nvc"
        if args.stream is None:
            stream.write_bytes(encode())
        expected, differs = "", False
        for row in ROWS:
            found = in_process(stream, row) if runs_here(row) else None
            expected = expected or found or ""
            differs |= found is not None and found != expected
            verdict = "not this machine" if found is None else "the same" if found == expected else "DIFFERENT"
            print(f"{row.name:36} {verdict:20} {(found or '')[:16]}", flush=True)
    return int(differs)


def encode() -> bytes:
    """A stream of a moving pattern."""
    encoder = nvcodec.Encoder(pattern_format(WIDTH, HEIGHT), quality=36)
    frames = moving_pattern(WIDTH, HEIGHT, FRAMES)
    return b"".join([encoder.encode(*frame.planes) for frame in frames]) + encoder.finish()


def pixels(path: Path, threads: int, device: str) -> str:
    """SHA-256 of all planes of a stream, which are compared with the checksums of the encoder's own as well."""
    decoder, digest = nvcodec.Decoder(verify=True, threads=threads, device=device), hashlib.sha256()
    frames = decoder.decode(path.read_bytes())
    decoder.finish()
    for frame in frames:
        for plane in frame.planes:
            digest.update(plane.tobytes())
    return digest.hexdigest()


def in_process(path: Path, row: Row) -> str:
    """`pixels` of a fresh process."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    command = [sys.executable, __file__, str(path), "--decode", "--threads", str(row.threads), "--device", row.device]
    done = subprocess.run(command, env={**inherited, **row.environment}, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr.strip().splitlines()[-1:]}"


def runs_here(row: Row) -> bool:
    """Whether this machine has what a row wants."""
    wanted = NEEDS.get(row.name)
    if wanted is not None and wanted not in Path("/proc/cpuinfo").read_text().split():
        return False
    return row.device != "cuda" or torch.cuda.is_available()


if __name__ == "__main__":
    sys.exit(main())
