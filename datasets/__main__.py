# SPDX-License-Identifier: Apache-2.0
"""``python -m nvcodec.datasets [SET FOLDER]``: which standard sets are described, and what of one lies on this disk."""

from __future__ import annotations

import argparse
import sys

from nvcodec.datasets.check import check, describe, locate
from nvcodec.datasets.descriptors import dataset_names, get_dataset
from nvcodec.errors import NvcError


def main() -> int:
    """Exit codes: 0 everything is there, 1 a clip is missing or wrong, 2 no such set or folder."""
    parser = argparse.ArgumentParser(
        prog="python -m nvcodec.datasets", description="Check standard video sets on disk."
    )
    parser.add_argument("name", nargs="?", metavar="SET", help="without it, the sets are listed")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where its files are, up to three folders down")
    parser.add_argument("--paths", action="store_true", help="print the clips' paths, for other commands")
    args = parser.parse_args()
    try:
        if args.name is None:
            print("\n".join(f"{name:12} {get_dataset(name).title}" for name in dataset_names()))
        elif args.folder is None:
            dataset = get_dataset(args.name)
            print(f"{dataset.title}\n{dataset.makers}, {dataset.homepage}\noffered: {dataset.offered}\n{dataset.note}")
        elif args.paths:
            print("\n".join(map(str, locate(args.name, args.folder).values())))
        else:
            print(describe(args.name, args.folder))
            return int(any(status.state != "found" for status in check(args.name, args.folder)))
    except NvcError as error:
        print(f"nvcodec.datasets: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
