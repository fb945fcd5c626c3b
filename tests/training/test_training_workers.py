# SPDX-License-Identifier: Apache-2.0
"""Processes that encode: results in order, an end when asked, errors that say what happened, and no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nvcodec.errors import NvcError, UsageError
from nvcodec.models.training.bases import load_bases
from nvcodec.models.training.workers import ONE_THREAD, Workers


@pytest.mark.parametrize("processes", [0, 2])
def test_results_come_in_order_and_end_when_asked(processes: int) -> None:
    with Workers(processes) as workers:
        assert list(workers.map(pow, ((n, 2) for n in range(30)), lambda: False)) == [n * n for n in range(30)]
        assert list(workers.map(pow, ((n, 2) for n in range(30)), lambda: True)) == []
        calls = iter(range(99))
        some = list(workers.map(pow, ((n, 2) for n in range(30)), lambda: next(calls) >= 12))
        assert some == [n * n for n in range(len(some))]
        assert 0 < len(some) < 30


def test_errors_of_a_process_arrive_and_its_death_is_named(tmp_path: Path) -> None:
    with Workers(1) as workers, pytest.raises(UsageError, match="not the transforms of a run"):
        list(workers.map(load_bases, [(tmp_path / "none",)], lambda: False))
    with Workers(1) as workers, pytest.raises(NvcError, match="was killed"):
        list(workers.map(os._exit, [(1,)], lambda: False))


def test_each_process_has_one_thread_and_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONE_THREAD[0], "7")
    monkeypatch.delenv(ONE_THREAD[1], raising=False)
    with Workers(1) as workers:
        assert list(workers.map(os.getenv, [(name,) for name in ONE_THREAD], lambda: False)) == ["1"] * len(ONE_THREAD)
    assert os.environ[ONE_THREAD[0]] == "7"
    assert ONE_THREAD[1] not in os.environ


ORPHAN = """
import os, time
from nvcodec.models.training.workers import Workers
if __name__ == "__main__":
    with Workers(1) as workers:
        print(*workers.map(os.getpid, [()], lambda: False), flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < deadline, f"process {child} goes on"
        time.sleep(0.05)


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
