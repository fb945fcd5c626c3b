# SPDX-License-Identifier: Apache-2.0
"""The networks that `scripts/peer_speed.py` times have the size and the work of those that were published."""

from __future__ import annotations

import peer_speed
import pytest
import torch

# parameters in millions (with layers that only the first inter frame uses, which are left out here); thousands of
# multiplications for each luma sample of a frame (385 and 170 GMAC for 1920x1080) or to decode one
PUBLISHED = {"DCVC-RT": (20.7, 185.7, None), "DCVC-UF LD": (9.7, 82.0, None), "MLVC-S": (5.4, None, 49.0)}


@pytest.mark.parametrize("name", peer_speed.NETWORKS)
def test_networks_are_of_the_published_size(name: str) -> None:
    with torch.inference_mode():
        row = peer_speed.network_row(name, 128, 64, 0.0)
    millions, *published = PUBLISHED[name]
    assert row.parameters is not None
    assert 0.85 * millions < row.parameters / 1e6 < millions
    assert row.kmacs is not None
    assert row.kmacs[0] > row.kmacs[1]
    for kmacs, wanted in zip(row.kmacs, published, strict=True):
        assert wanted is None or kmacs == pytest.approx(wanted, rel=0.08)
    assert row.encode_fps > 0
    assert row.decode_fps > 0


def test_multiplications_are_counted() -> None:
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1, groups=8))
    with torch.inference_mode():
        assert peer_speed.macs_of(layers, lambda: layers(torch.zeros(1, 3, 10, 20))) == 200 * (3 * 8 * 9 + 8 * 9)


def test_rows_become_a_table() -> None:
    table = peer_speed.markdown([peer_speed.Row("a", 1_500_000, (20.4, 10.0), 1.0, 2.0)])
    assert table.splitlines()[-1] == "| a | 1.5M | 20 | 10 | 1.00 | 2.00 |"
