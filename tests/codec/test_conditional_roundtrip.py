# SPDX-License-Identifier: Apache-2.0
"""The conditional codec in one process: what comes out is what the encoder saw, and what was asked for."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import conditional_clips as clips
import numpy as np
import pytest

import nvcodec
from nvcodec.codec.checksum import planes_crc32
from nvcodec.codec.conditional import DEFAULT_SIZE, PROFILES, SIZES, SYNTAX_VERSION, tools_of
from nvcodec.codec.protocol import CodedUnit, EncodeSettings, ModelIdentity
from nvcodec.codec.registry import get_codec
from nvcodec.errors import DamagedStreamError, UnsupportedError, UsageError
from nvcodec.media.test_pattern import pattern_format
from nvcodec.media.types import Frame
from nvcodec.models.conditional.efforts import ALL_DEPTHS, Tools
from nvcodec.models.conditional.frame_coder import DecidedFrame, Window, is_midway
from nvcodec.models.conditional.plans import plan_group, plan_low_delay
from nvcodec.models.kernels.restore import NETWORK as BY_NETWORK
from nvcodec.stream import StreamReader

CODEC = get_codec("conditional")
LONG, SHORT = 16, 8  # frames of a whole unit in random access, where little moves and where much does

both_profiles = pytest.mark.parametrize("profile", PROFILES)


def units_of(frames: list[Frame], profile: str = "ra", size: str = DEFAULT_SIZE, **settings: object) -> list[CodedUnit]:
    height, width = frames[0].y.shape
    options = {"profile": profile} | ({"model": size} if size != DEFAULT_SIZE else {})
    asked = EncodeSettings(threads=1, options=options, **settings)  # type: ignore[arg-type]
    encoder = CODEC.encoder(pattern_format(width, height), asked)
    units = [unit for frame in frames for unit in encoder.encode(frame)] + encoder.flush()
    assert encoder.config == bytes([SYNTAX_VERSION, SIZES.index(size)])
    return units


def decoded(units: list[CodedUnit], width: int, height: int, size: str = DEFAULT_SIZE) -> list[Frame]:
    """All frames, of each unit what the encoder saw, of the shapes that are due."""
    model = CODEC.model_identity(EncodeSettings())
    config = bytes([SYNTAX_VERSION, SIZES.index(size)])
    decoder = CODEC.decoder(pattern_format(width, height), model, config, threads=1)
    half = (height + 1) // 2, (width + 1) // 2
    frames = []
    for unit in units:
        of_unit = list(decoder.decode(unit.payload, unit.keyframe))
        assert len(of_unit) == unit.frame_count
        assert planes_crc32(of_unit) == unit.planes_crc32
        assert all([plane.shape for plane in frame.planes] == [(height, width), half, half] for frame in of_unit)
        frames += of_unit
    return frames


@both_profiles
@pytest.mark.parametrize(
    ("width", "height", "quality"),
    [
        (1, 1, 63),
        (1, 40, 20),
        (17, 33, 0),
        (17, 33, 45),
        (31, 16, 32),
        (64, 48, 0),
        (64, 48, 24),
        (65, 49, 63),
        (145, 81, 30),
    ],
)
def test_every_frame_is_what_the_encoder_saw(width: int, height: int, quality: int, profile: str) -> None:
    units = units_of(clips.pattern(width, height, 5), profile, quality=quality)
    assert units[0].keyframe
    assert len(decoded(units, width, height)) == 5


@pytest.mark.parametrize("preset", ["fast", "medium", "slow", "placebo"])
def test_presets(preset: str) -> None:
    frames = clips.pattern(64, 48, 10)
    found = decoded(units_of(frames, quality=36, preset=preset), 64, 48)
    assert min(clips.psnr_db(d, f) for d, f in zip(found, frames, strict=True)) > 34


@both_profiles
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("count", [*range(1, 21), 24, 25, 26, 33, 34, 41])
def test_videos_may_end_anywhere(count: int, is_slow: bool, profile: str) -> None:
    """One frame, groups of 1 to 16 frames at the end, a second group of 1 to 16, and more: each frame in its place."""
    width, height = (32, 96) if is_slow else (32, 32)
    frames = clips.slow(width, height, count) if is_slow else clips.pattern(width, height, count)
    units = units_of(frames, profile, quality=50)
    sizes = [unit.frame_count for unit in units]
    if profile == "ld":
        assert sizes == [1] * count
    else:
        assert sizes[0] == 1
        assert sum(sizes) == count
        assert set(sizes[1:-1]) <= {SHORT, LONG}
        assert max(sizes) <= LONG
        assert -(-(count - 1) // LONG) <= len(sizes) - 1 <= -(-(count - 1) // SHORT)
        if is_slow:
            assert set(sizes[1:-1]) <= {LONG}
    assert [unit.keyframe for unit in units] == [True, *[False] * (len(units) - 1)]
    found = decoded(units, width, height)
    for number, frame in enumerate(found):  # nearer to its own picture than to those around it
        errors = [clips.psnr_db(frame, original) for original in frames]
        assert int(np.argmax(errors)) == number
        assert errors[number] > 34


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (17, 33)])
def test_one_frame(size: tuple[int, int]) -> None:
    frames = clips.pattern(*size, 1)
    (found,) = clips.decode(clips.encode(frames, quality=63))
    assert clips.psnr_db(found, frames[0]) > 36


@pytest.mark.parametrize("value", [0, 16, 128, 235, 255])
def test_flat_pictures_stay_flat(value: int) -> None:
    flat = [Frame(*(np.full(shape, value, np.uint8) for shape in ((32, 48), (16, 24), (16, 24)))) for _ in range(3)]
    for frame, original in zip(clips.decode(clips.encode(flat, quality=60)), flat, strict=True):
        assert all(abs(float(plane.mean()) - value) < 1.5 for plane in frame.planes)
        assert clips.psnr_db(frame, original) > 40


@both_profiles
def test_noise_at_the_best_quality(profile: str) -> None:
    """The most bits that a picture can ask for: every frame another, full of contrast."""
    random = np.random.default_rng(0)
    shapes = ((48, 64), (24, 32), (24, 32))
    noise = [Frame(*(random.choice([0, 255], shape).astype(np.uint8) for shape in shapes)) for _ in range(3)]
    found = decoded(units_of(noise, profile, quality=63), 64, 48)
    assert min(clips.psnr_db(d, f) for d, f in zip(found, noise, strict=True)) > 35


@both_profiles
def test_the_largest_motion_from_frame_to_frame(profile: str) -> None:
    """A texture that jumps by up to half of the picture, and back."""
    (texture,) = clips.pattern(512, 64, 1)
    frames = []
    for shift in (0, 256, 0, 40, 296, 10, 200, 30, 0, 256):
        y, u, v = (
            np.ascontiguousarray(np.roll(plane, shift // s, 1)[:, : 256 // s])
            for plane, s in zip(texture.planes, (1, 2, 2), strict=True)
        )
        frames.append(Frame(y, u, v))
    found = decoded(units_of(frames, profile, quality=40), 256, 64)
    assert min(clips.psnr_db(d, f) for d, f in zip(found, frames, strict=True)) > 33


@both_profiles
@pytest.mark.parametrize("cut", [1, 4, 9, 11, 18])
def test_a_cut_is_a_keyframe(cut: int, profile: str) -> None:
    """Also where it breaks off a group."""
    frames = clips.pattern(64, 48, cut, seed=1) + clips.pattern(64, 48, 4, seed=2)
    stream = clips.encode(frames, profile=profile)
    assert nvcodec.probe(io.BytesIO(stream)).keyframes == (0, cut)
    found = clips.decode(stream)
    assert len(found) == len(frames)
    assert abs(clips.psnr_db(found[cut], frames[cut]) - clips.psnr_db(found[0], frames[0])) < 4


@pytest.fixture(scope="module", params=PROFILES)
def periodic(request: pytest.FixtureRequest) -> tuple[bytes, list[Frame]]:
    """Ten frames, a keyframe every third, records of two frames at most."""
    stream = clips.encode(clips.pattern(64, 48, 10), intra_period=3, frames_per_record=2, profile=request.param)
    return stream, clips.decode(stream)


@both_profiles
def test_keyframes_stand_where_they_were_asked_for(profile: str) -> None:
    for count, period, wanted in ((10, 3, (0, 3, 6, 9)), (3, 1, (0, 1, 2)), (13, 10, (0, 10)), (9, 0, (0,))):
        stream = clips.encode(clips.pattern(32, 32, count), intra_period=period, profile=profile)
        assert nvcodec.probe(io.BytesIO(stream)).keyframes == wanted


@pytest.mark.parametrize("start", [3, 5, 6, 9])
def test_decoding_from_the_middle_gives_the_same_frames(
    periodic: tuple[bytes, list[Frame]], tmp_path: Path, start: int
) -> None:
    stream, everything = periodic
    out = tmp_path / "part.yuv"
    report = nvcodec.decode(io.BytesIO(stream), out, frames=(start, start + 2), threads=1)
    wanted = everything[start : start + 2]
    assert (report.first_frame, report.frames) == (start, len(wanted))
    assert out.read_bytes() == b"".join(plane.tobytes() for frame in wanted for plane in frame.planes)


@both_profiles
def test_every_keyframe_is_a_place_to_begin(profile: str) -> None:
    """Nothing that was learned before a keyframe is needed after it."""
    frames = clips.pattern(48, 48, 12)
    units = units_of(frames, profile, quality=30, intra_period=6)
    everything = decoded(units, 48, 48)
    second = next(n for n, unit in enumerate(units) if n and unit.keyframe)
    shown = sum(unit.frame_count for unit in units[:second])
    for found, wanted in zip(decoded(units[second:], 48, 48), everything[shown:], strict=True):
        assert clips.same(found, wanted)


@pytest.fixture(scope="module")
def still(bikes_path: Path) -> list[Frame]:
    return clips.real(bikes_path, 1, 320, 192)


@both_profiles
@pytest.mark.parametrize(("quality", "bpp"), [(0, 0.002), (16, 0.002), (32, 0.005), (63, 0.005)])
def test_a_still_picture_costs_next_to_nothing_and_stays_as_good(
    still: list[Frame], quality: int, bpp: float, profile: str
) -> None:
    repeats = 30
    stream = clips.encode(still * (1 + repeats), quality, profile=profile)
    more_nbytes = len(stream) - len(clips.encode(still, quality, profile=profile))
    assert 8 * more_nbytes / repeats / still[0].y.size < bpp  # all overhead included
    found = clips.decode(stream)
    assert min(clips.psnr_db(frame, still[0]) for frame in found) > clips.psnr_db(found[0], still[0]) - 0.2


@both_profiles
@pytest.mark.parametrize("quality", [6, 30])
def test_a_static_shot_stays_as_good(quality: int, profile: str) -> None:
    """One scene and new noise in every frame, 91 times: errors do not pile up."""
    random = np.random.default_rng(4)
    (scene,) = clips.pattern(64, 48, 1, seed=3)
    frames = [
        Frame(*((p + random.normal(0, 1.5, p.shape)).clip(0, 255).astype(np.uint8) for p in scene.planes))
        for _ in range(91)
    ]
    found = clips.decode(clips.encode(frames, quality, profile=profile, preset="fast"))
    early, late = (
        float(np.mean([clips.psnr_db(found[n], frames[n]) for n in range(around - 4, around + 1)]))
        for around in (12, 90)
    )
    assert late > early - 0.5


@both_profiles
def test_each_step_of_quality_takes_more_bytes_and_gives_more(bikes_path: Path, profile: str) -> None:
    frames = clips.real(bikes_path, 9, 128, 96, start=20)
    sizes, quality_db = [], []
    for level in (0, 12, 23, 36, 48, 63):
        stream = clips.encode(frames, level, profile=profile)
        sizes.append(len(stream))
        quality_db.append(np.mean([clips.psnr_db(d, f) for d, f in zip(clips.decode(stream), frames, strict=True)]))
    assert np.diff(sizes).min() > 0, sizes
    assert np.diff(quality_db).min() > 0, quality_db


def test_random_access_is_smaller_than_low_delay(bikes_path: Path) -> None:
    frames = clips.real(bikes_path, 17, 192, 128, start=20)
    points = {}
    for profile in PROFILES:
        stream = clips.encode(frames, 30, profile=profile)
        psnr_db = np.mean([clips.psnr_db(d, f) for d, f in zip(clips.decode(stream), frames, strict=True)])
        points[profile] = (len(stream), psnr_db)
    # one dB is about a fifth of the bytes
    (ra, ra_db), (ld, ld_db) = points["ra"], points["ld"]
    assert ra * 1.2 ** (ld_db - ra_db) < ld, points


@both_profiles
def test_the_same_frames_make_the_same_stream(profile: str) -> None:
    for frames in (clips.pattern(48, 32, 10), clips.slow(48, 96, 35)):
        assert clips.encode(frames, profile=profile) == clips.encode(frames, profile=profile)


@pytest.mark.parametrize("make", [clips.pattern, clips.slow])
def test_threads_do_not_change_the_stream(make: Callable[[int, int, int], list[Frame]]) -> None:
    """Of short groups and of long ones, the end of the next one being decided on beside the frames of one."""
    frames = make(64, 96, 45)
    streams = set()
    for threads in (1, 2, 5):
        encoder = nvcodec.Encoder(pattern_format(64, 96), threads=threads)
        streams.add(b"".join([encoder.encode(*frame.planes) for frame in frames]) + encoder.finish())
    assert len(streams) == 1


# --- sizes of decoders


class Sized:
    """One clip for each size of decoder: units, and what their own decoder makes of them."""

    def __init__(self, profile: str) -> None:
        self.profile, self.frames = profile, clips.pattern(64, 48, 13)
        self.units = {size: units_of(self.frames, profile, size, quality=30) for size in SIZES}
        self.planes = {size: decoded(self.units[size], 64, 48, size) for size in SIZES}

    def decoder(self, size: str) -> Any:
        config = bytes([SYNTAX_VERSION, SIZES.index(size)])
        return CODEC.decoder(pattern_format(64, 48), CODEC.model_identity(EncodeSettings()), config, threads=1)

    def decided_units(self, size: str) -> list[list[DecidedFrame]]:
        """Frames of each unit in coding order."""
        decoder = self.decoder(size)
        return [decoder.read(unit.payload, unit.keyframe) for unit in self.units[size]]

    def decided(self, size: str) -> list[DecidedFrame]:
        """Of all units."""
        return [frame for unit in self.decided_units(size) for frame in unit]

    def touched(self, size: str) -> list[bool]:
        """Whether each frame lies midway between two others, or was predicted from one that does."""
        window, touched = Window(), {}
        for header, number, *_ in self.decided(size):
            references = [window.at(slot) for slot in header.references]
            midway = is_midway(tuple(number - other for other in references))
            touched[number] = midway or any(touched[other] for other in references)
            window.add(number, header.kept)
        return [touched[number] for number in sorted(touched)]


@pytest.fixture(scope="module", params=PROFILES)
def sized(request: pytest.FixtureRequest) -> Sized:
    return Sized(request.param)


def depths_of(sized: Sized, size: str) -> dict[int, int]:
    """Of each frame, as planned."""
    ends = [end - 1 for end in itertools.accumulate(unit.frame_count for unit in sized.units[size])]
    if sized.profile == "ld":
        return {0: 0} | {number: plan_low_delay(number, 0).depth for number in range(1, ends[-1] + 1)}
    groups = (plan_group(begin, end, (), 0) for begin, end in itertools.pairwise(ends))
    return {0: 0} | {plan.number: plan.depth for group in groups for wave in group for plan in wave}


def test_sizes_are_each_decoded_by_their_own(sized: Sized) -> None:
    """All of them from the same weights to good pictures (and to what the encoder saw, see `decoded`)."""
    for size in SIZES:
        planes = zip(sized.planes[size], sized.frames, strict=True)
        assert min(clips.psnr_db(found, frame) for found, frame in planes) > 30
    payloads = {b"".join(unit.payload for unit in sized.units[size]) for size in SIZES}
    deeper = max(depths_of(sized, "m").values()) > Tools().network  # short groups have no frames for the greatest alone
    assert len(payloads) == len(SIZES) - (not deeper)
    assert deeper or sized.profile == "ra"


def test_only_the_least_size_restores_nothing(sized: Sized) -> None:
    restored = {size: sum(int((f[2].banks > 0).sum()) for f in sized.decided(size)) for size in SIZES}
    assert restored["xs"] == 0
    assert restored["s"] > 0
    assert restored["m"] > 0
    assert restored["l"] > 0


def test_what_decoders_of_each_size_do() -> None:
    """The second byte of the configuration is the size."""
    assert [tools_of(size) for size in SIZES] == [
        Tools(flow=False, filters=False, network=-1),
        Tools(flow=False, filters=True, network=-1),
        Tools(flow=True, filters=True, network=3),
        Tools(flow=True, filters=True, network=ALL_DEPTHS),
    ]
    assert tools_of(DEFAULT_SIZE) == Tools()
    for options, config in (({}, "0f02"), *(({"model": size}, f"0f0{n}") for n, size in enumerate(SIZES))):
        settings = EncodeSettings(threads=1, options=options)
        assert CODEC.encoder(pattern_format(16, 16), settings).config.hex() == config
        assert CODEC.model_identity(settings) == CODEC.model_identity(EncodeSettings())


def test_sizes_restore_by_the_network_what_they_may(sized: Sized) -> None:
    """The default keyframes and every second frame; the greatest others, too."""
    by_network = {
        size: {number for _, number, blocks, _ in sized.decided(size) if (blocks.banks == BY_NETWORK).any()}
        for size in SIZES
    }
    assert by_network["xs"] == by_network["s"] == set()
    for size in ("m", "l"):
        first = {number for number, depth in depths_of(sized, size).items() if depth <= Tools().network}
        assert by_network[size] & first
        more = size == "l" and len(first) < len(sized.frames)
        assert bool(by_network[size] - first) == more


@pytest.mark.parametrize(
    ("coded", "said"), [("s", "m"), ("xs", "m"), ("s", "l"), ("xs", "l"), ("xs", "s"), ("m", "l"), ("l", "m")]
)
def test_sizes_without_flow_do_not_move_predictions_of_frames_midway(sized: Sized, coded: str, said: str) -> None:
    """Decoded as another size, a stream without restoration or with it is the same but for them and what follows.
    Which frames the network restores their decisions say, whatever the size, if it has the network at all."""
    decoder = sized.decoder(said)
    shown = [frame for unit in sized.units[coded] for frame in decoder.decode(unit.payload, unit.keyframe)]
    as_they_were = [clips.same(a, b) for a, b in zip(shown, sized.planes[coded], strict=True)]
    touched = sized.touched(coded)
    assert any(touched) == (sized.profile == "ra")
    if tools_of(coded).flow != tools_of(said).flow:
        assert all(was or may_be for was, may_be in zip(as_they_were, touched, strict=True))
        assert all(as_they_were) == (not any(touched))
    else:
        assert all(as_they_were)


@pytest.mark.parametrize(("coded", "said"), [("s", "xs"), ("m", "xs"), ("l", "xs"), ("m", "s"), ("l", "s")])
def test_restored_frames_in_a_stream_of_a_size_without_are_damage(sized: Sized, coded: str, said: str) -> None:
    """Of which nothing is shown, nor anything after it until a keyframe."""
    first_bank = 1 if said == "xs" else BY_NETWORK
    restored = [any((f[2].banks >= first_bank).any() for f in unit) for unit in sized.decided_units(coded)]
    first_restored = restored.index(True)
    assert first_restored < len(restored) - 1
    decoder, by = sized.decoder(said), " by the network" if said == "s" else ""
    for number, unit in enumerate(sized.units[coded]):
        if number < first_restored:
            decoder.decode(unit.payload, unit.keyframe)
            continue
        words = f"restored{by} in a stream of a size without" if number == first_restored else "damaged: .* keyframe"
        with pytest.raises(DamagedStreamError, match=words):
            decoder.decode(unit.payload, unit.keyframe)
    (first, *_), own = sized.units[said], sized.planes[said][0]
    (shown,) = decoder.decode(first.payload, True)
    assert clips.same(shown, own)


@both_profiles
def test_streams_whose_header_says_another_size(profile: str) -> None:
    """Damage, other pixels, or the same ones: never anything but frames or a word of it."""
    frames = clips.pattern(64, 48, 13)
    streams = {size: clips.encode(frames, 30, profile=profile, size=size) for size in SIZES}
    planes = {size: clips.decode(stream) for size, stream in streams.items()}
    for coded, stream in streams.items():
        header = StreamReader(io.BytesIO(stream)).header
        assert header.config == bytes([SYNTAX_VERSION, SIZES.index(coded)])
        for said in SIZES:
            reader = StreamReader(io.BytesIO(stream))
            changed = clips.with_header(reader, config=bytes([SYNTAX_VERSION, SIZES.index(said)]))
            decoder = nvcodec.Decoder(threads=1)
            if said in ("xs", "s") and SIZES.index(said) < SIZES.index(coded):
                by = " by the network" if said == "s" else ""
                with pytest.raises(DamagedStreamError, match=f"a frame is restored{by} in a stream of a size without"):
                    decoder.decode(changed)
                continue
            found = decoder.decode(changed)
            decoder.finish()
            as_they_were = all(clips.same(a, b) for a, b in zip(found, planes[coded], strict=True))
            assert as_they_were == (profile == "ld" or tools_of(coded).flow == tools_of(said).flow)
        for config in (bytes([SYNTAX_VERSION, len(SIZES)]), bytes([SYNTAX_VERSION, 255])):
            changed = clips.with_header(StreamReader(io.BytesIO(stream)), config=config)
            with pytest.raises(UnsupportedError, match=f"syntax {config.hex()}: this build reads {SYNTAX_VERSION:02x}"):
                nvcodec.Decoder().decode(changed)


def test_weights_and_syntax_that_are_not_here(periodic: tuple[bytes, list[Frame]]) -> None:
    video = pattern_format(64, 48)
    model = CODEC.model_identity(EncodeSettings())
    assert model is not None
    with pytest.raises(UnsupportedError, match="SHA-256 0101"):
        CODEC.decoder(video, ModelIdentity(model.name, b"\1" * 32), bytes([SYNTAX_VERSION, 0]))
    others = (b"", b"\0", b"\x09", b"\x09\2", bytes([SYNTAX_VERSION + 1]), bytes([SYNTAX_VERSION + 1, 0]))
    for config in (
        *others,
        bytes([SYNTAX_VERSION]),
        bytes([SYNTAX_VERSION, len(SIZES)]),
        bytes([SYNTAX_VERSION, 0, 0]),
    ):
        with pytest.raises(UnsupportedError, match="syntax"):
            CODEC.decoder(video, model, config)
    with pytest.raises(DamagedStreamError, match="no model"):
        CODEC.decoder(video, None, bytes([SYNTAX_VERSION, 0]))
    changed = clips.with_header(StreamReader(io.BytesIO(periodic[0])), model_sha256=b"\2" * 32)
    with pytest.raises(UnsupportedError, match="SHA-256 0202"):
        nvcodec.Decoder().decode(changed)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"quality": 64}, "quality is 64: 0 to 63"),
        ({"quality": -1}, "quality is -1"),
        ({"intra_period": -1}, "intra period is -1"),
        ({"preset": "ultra"}, "preset is 'ultra'"),
        ({"options": {"depth": 3}}, "no option 'depth'"),
        ({"options": {"profile": "ai"}}, "profile is 'ai': ra, ld"),
        ({"options": {"model": "conditional-xl"}}, "'conditional-xl' is not installed"),
        ({"options": {"model": "xl"}}, "'xl' is not installed"),
        ({"options": {"model": "L"}}, "'L' is not installed"),
    ],
)
def test_settings_it_does_not_have(settings: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        CODEC.encoder(pattern_format(64, 48), EncodeSettings(**settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
