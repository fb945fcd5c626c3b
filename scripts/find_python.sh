#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Print the path of a Python that can make our environment: 3.11 or 3.12, with venv and pip.
# usage: find_python.sh [PYTHON]    PYTHON given: that one or none

resolve() {
    "$1" -c 'import sys, venv, ensurepip
if not (3, 11) <= sys.version_info[:2] < (3, 13): sys.exit(1)
print(sys.executable)' 2>/dev/null
}

if [ -n "$1" ]; then
    resolve "$1" && exit 0
    echo "PYTHON=$1 does not do: Python 3.11 or 3.12 with its venv module is needed" >&2
    exit 1
fi
for candidate in python3.12 python3.11 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python; do
    resolve "$candidate" && exit 0
done
echo "no Python 3.11 or 3.12 with its venv module found: install one, or name it with PYTHON=/path/to/python" >&2
exit 1
