# SPDX-License-Identifier: Apache-2.0
"""What the runner needs to know of a codec: its record, its quality steps, and the commands for one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nvcodec.errors import UsageError
from nvcodec.rd.schema import CodecRecord, Conditions, Quality

# What stands for paths in the commands, there and in the stored points.
SOURCE, STREAM, DECODED, STATS = "{source}", "{stream}", "{decoded}", "{stats}"


@dataclass(frozen=True)
class Trial:
    """One codec at one quality, ready to run on any clip.

    encode, decode: argument lists with placeholders. suffix: of the stream. check_options: an encoder's warning about
    an option counts as failure.
    """

    codec: CodecRecord
    quality: Quality
    encode: list[str]
    decode: list[str]
    suffix: str
    container: str
    check_options: bool = False


@dataclass(frozen=True)
class LabCodec:
    """A codec under conditions: ``name`` in full, default ``steps`` of its knob, and a maker of trials."""

    name: str
    parameter: str
    steps: tuple[float, ...]
    lowest: float
    highest: float
    make: Callable[[float], Trial]

    def trials(self, steps: Sequence[float] | None = None) -> list[Trial]:
        """One trial for each step, in the order given; UsageError for a step outside the codec's range."""
        chosen = self.steps if steps is None else tuple(dict.fromkeys(steps))
        for step in chosen:
            if not self.lowest <= step <= self.highest:
                raise UsageError(
                    f"{self.name}: {self.parameter} {step:g}, allowed is {self.lowest:g} to {self.highest:g}"
                )
        return [self.make(step) for step in chosen]


def resolve(name: str, conditions: Conditions, *, threads: int = 1, device: str = "cpu") -> LabCodec:
    """The codec called ``name`` ("x265:medium:ld:psnr", "ours:conditional").

    Raises UsageError for a name that does not exist, UnsupportedError where this machine lacks the encoder.
    """
    family = name.split(":", 1)[0]
    if family == "ours":
        from nvcodec.rd.ours import our_codec

        return our_codec(name, conditions, threads=threads, device=device)
    from nvcodec.rd.anchors import FAMILIES, anchor_codec

    if family not in FAMILIES:
        known = ", ".join(["ours", *FAMILIES])
        raise UsageError(f"codec {name!r}: family {family!r} is not known, choose from {known}")
    return anchor_codec(name, conditions, threads=threads)
