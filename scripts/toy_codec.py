# SPDX-License-Identifier: Apache-2.0
"""A third-party codec: coarser sample values, differences to the frame before, zlib.

With the entry point toy = "toy_codec:ToyCodec" in the group nvcodec.codecs, a package that carries it makes it appear
in the command line, the library and the evaluator.
"""

import zlib

import numpy as np

from nvcodec import CodedUnit, DamagedStreamError, Frame, planes_crc32


class ToyCodec:
    name, codec_id = "toy", 65000

    def models(self):
        return iter(())

    def model_identity(self, settings):
        return None

    def encoder(self, video, settings):
        return ToyEncoder(step=1 + (63 - settings.quality) // 4, intra_period=settings.intra_period)

    def decoder(self, video, model, config, *, threads=0, device="cpu"):
        return ToyDecoder(video, step=config[0])


class ToyEncoder:
    def __init__(self, step, intra_period):
        self.config, self.step, self.intra_period, self.frames = bytes([step]), step, intra_period, 0

    def encode(self, frame):
        keyframe = self.frames % self.intra_period == 0 if self.intra_period else self.frames == 0
        self.frames += 1
        levels = np.concatenate([plane.ravel() for plane in frame.planes]) // self.step
        payload = zlib.compress(levels if keyframe else levels - self.before)
        self.before = levels
        decoded = Frame(*(plane // self.step * self.step for plane in frame.planes))
        return [CodedUnit(payload, keyframe, 1, planes_crc32([decoded]))]

    def flush(self):
        return []


class ToyDecoder:
    def __init__(self, video, step):
        self.shapes, self.step, self.before = [(video.height, video.width), *[video.chroma_size] * 2], step, None

    def decode(self, payload, keyframe):
        sizes = [height * width for height, width in self.shapes]
        levels = np.frombuffer(zlib.decompressobj().decompress(payload, sum(sizes)), np.uint8)
        if levels.size != sum(sizes):
            raise DamagedStreamError(f"toy payload holds {levels.size} samples; {sum(sizes)} are needed")
        self.before = levels if keyframe else levels + self.before
        planes = np.split(self.before * np.uint8(self.step), np.cumsum(sizes)[:2])
        return [Frame(*(plane.reshape(shape) for plane, shape in zip(planes, self.shapes, strict=True)))]
