# SPDX-License-Identifier: Apache-2.0
"""The weights that ship, loaded once."""

from __future__ import annotations

import pytest

from nvcodec.codec.conditional import DEFAULT_MODEL
from nvcodec.models import zoo
from nvcodec.models.conditional.weights import Weights, load_weights


@pytest.fixture(scope="session")
def weights() -> Weights:
    """The default model of the conditional codec, ready to code."""
    return load_weights(zoo.find(DEFAULT_MODEL).path)
