# SPDX-License-Identifier: Apache-2.0
"""What encoders try, by preset, and what decoders of each size do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nvcodec.models.kernels import compensation

ALL_DEPTHS = 99


@dataclass(frozen=True)
class Effort:
    """What the encoder tries."""

    modes: int = 3  # intra modes tried in full, at most
    finalists: int = 0  # of them, in keyframes, how many are compared by what they cost in their contexts
    parts_from: float = 8.0  # bits of a prediction, at least, for its block to be tried in parts
    together_to: float = math.inf  # times the best prediction's cost: new vectors that are moved together (0: none)
    settled_to: float = 0.0  # bits up to which a unit has a candidate's motion without a look at its blocks
    exact: int = 1  # of the predictions that seem best, how many are tried with their transforms
    rounds: int = compensation.FLOW_ROUNDS  # in which two predictions are moved before that
    others: int = 4  # frames on each side that a picture is filtered with
    filters: bool = True  # of restoration
    filters_last: bool = True  # in frames that no other is predicted from, too
    network: bool = False  # in restoration
    modes_to: float = math.inf  # times the rough cost of the best intra mode, up to which others are tried in full
    deepest: int = ALL_DEPTHS  # of a group's frames that it is tried in, where a decoder has it for few
    network_from: float = 50.0  # bits that a unit's error is worth at least for the network to be tried


_FAST = Effort(
    modes=1, parts_from=100.0, together_to=0, settled_to=16.0, rounds=1, others=2, filters_last=False, deepest=0,
    network_from=100.0,
)  # fmt: skip
_SLOW = Effort(modes=5, parts_from=20.0, together_to=1.25, exact=6)

EFFORTS = {
    "fast": _FAST,
    "medium": replace(_SLOW, exact=4, rounds=1, modes_to=1.5),
    "slow": _SLOW,  # and what `nvcodec.models.conditional.trials` does
    "placebo": _SLOW,
}
KEYFRAME_EFFORTS = {  # few frames, which many depend on
    "fast": Effort(modes=5, finalists=2, modes_to=1.5, network_from=100.0),
    "medium": Effort(modes=16, finalists=3, modes_to=1.5),
    "slow": Effort(modes=16, finalists=5, modes_to=2.0),
    "placebo": Effort(modes=35, finalists=8),
}


@dataclass(frozen=True)
class Tools:
    """What makes decoding slower and streams smaller. flow: predictions of frames midway are moved towards each other;
    filters: frames are restored; network: by the network, too, in a group those up to so deep (0: its last one only;
    less: none). Decisions say what is restored how: an encoder asks for it, a decoder sees that there is no more."""

    flow: bool = True
    filters: bool = True
    network: int = 3


ALL_TOOLS = Tools()  # of the default size
