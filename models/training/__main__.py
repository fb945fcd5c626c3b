# SPDX-License-Identifier: Apache-2.0
"""``python -m nvcodec.models.training``, also under ``torchrun``: one process of a run, see `launch`."""

import sys

from nvcodec.models.training.launch import main

if __name__ == "__main__":
    sys.exit(main())
