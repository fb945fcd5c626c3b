# SPDX-License-Identifier: Apache-2.0
"""Package discovery only; everything else is declared in pyproject.toml.

``models``, ``entropy`` and ``datasets`` stand at the top of the repository and are installed as subpackages of
``nvcodec``, so that no wheel of ours ever claims a top-level name as common as ``datasets``.
"""

from setuptools import find_namespace_packages, setup

MAPPED = ("models", "entropy", "datasets")

packages = find_namespace_packages(".", include=["nvcodec", "nvcodec.*"], exclude=["*__pycache__*"])
for folder in MAPPED:
    found = find_namespace_packages(".", include=[folder, f"{folder}.*"], exclude=["*__pycache__*"])
    packages += [f"nvcodec.{name}" for name in found]

setup(packages=packages, package_dir={f"nvcodec.{folder}": folder for folder in MAPPED})
