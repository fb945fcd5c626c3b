# SPDX-License-Identifier: Apache-2.0
"""Versions of everything that can change a result."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from nvcodec import __version__
from nvcodec.stream.limits import FORMAT_VERSION

# Instruction sets that decide which kernels run and how fast, by the names Linux gives them.
CPU_FEATURES = (
    *("sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)


def package_version(name: str) -> str:
    """Version of an installed distribution, without importing it; 'not installed' where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def cpu_description() -> tuple[str, list[str]]:
    """(model name, features among CPU_FEATURES) of the first processor."""
    model, flags = platform.processor() or platform.machine() or "unknown", set()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as cpuinfo:
            for line in cpuinfo:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    model = value.strip()
                elif key.strip() in ("flags", "Features"):
                    flags = set(value.split())
                if flags and not line.strip():
                    break
    except OSError:
        pass
    return model, [name for name in CPU_FEATURES if name in flags]


def cpu_count() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ffmpeg_version() -> str:
    """Version of the FFmpeg libraries that PyAV brings."""
    try:
        import av
    except ImportError:
        return "not installed"
    return str(getattr(av, "ffmpeg_version_info", "unknown"))


def versions() -> dict[str, str]:
    """Name to version: nvcodec, stream format, Python and the libraries that decide results and speed."""
    return {
        "nvcodec": __version__,
        "stream_format": str(FORMAT_VERSION),
        "python": platform.python_version(),
        "torch": package_version("torch"),
        "compressai": package_version("compressai"),
        "pyav": package_version("av"),
        "ffmpeg": ffmpeg_version(),
        "numba": package_version("numba"),
        "numpy": package_version("numpy"),
    }


def environment() -> dict[str, object]:
    """Versions and processor, as they stand in every JSON result."""
    model, features = cpu_description()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": {"model": model, "count": cpu_count(), "features": features},
    }


def version_text() -> str:
    """What ``nvc --version`` prints."""
    found = versions()
    model, features = cpu_description()
    lines = [
        f"nvc {found['nvcodec']}",
        f"stream format {found['stream_format']}",
        f"Python {found['python']}",
        f"torch {found['torch']}",
        f"CompressAI {found['compressai']}",
        f"PyAV {found['pyav']} (FFmpeg {found['ffmpeg']})",
        f"NumPy {found['numpy']}",
        f"CPU {model}, {cpu_count()} usable, {' '.join(features) or 'features unknown'}",
    ]
    return "\n".join(lines)
