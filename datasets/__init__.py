# SPDX-License-Identifier: Apache-2.0
"""The standard sets the field trains and measures on: what they are, and whether they lie on this disk.

Nothing is downloaded; a missing clip is reported with the place where its makers offer it.
"""

from nvcodec.datasets.check import ClipStatus, check, locate
from nvcodec.datasets.descriptors import ClipDescriptor, Crop, Dataset, dataset_names, find_clip, get_dataset

__all__ = [
    "ClipDescriptor",
    "ClipStatus",
    "Crop",
    "Dataset",
    "check",
    "dataset_names",
    "find_clip",
    "get_dataset",
    "locate",
]
