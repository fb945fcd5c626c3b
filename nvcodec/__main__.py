# SPDX-License-Identifier: Apache-2.0
"""``python -m nvcodec``: the same program as ``nvc``."""

import sys

from nvcodec.cli import main

if __name__ == "__main__":
    sys.exit(main())
