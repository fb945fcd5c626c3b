# SPDX-License-Identifier: Apache-2.0
"""A look at a fit while it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nvcodec.errors import NvcError


def write_pair(path: Path, source: np.ndarray, made: np.ndarray) -> None:
    """Two pictures (H, W, 3) uint8, one above the other, as PNG; appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.part.png")
    try:
        Image.fromarray(np.concatenate([source, made])).save(temporary, "PNG")
        temporary.replace(path)
    except OSError as error:
        raise NvcError(f"{path}: preview cannot be written: {error.strerror or error}") from error
