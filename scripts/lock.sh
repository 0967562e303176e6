#!/bin/sh
# Writes requirements.lock: every package but torch, pinned with hashes, for Python 3.11 and newer.
# torch (and the CUDA packages that some of its builds bring) is pinned in pyproject.toml and
# chosen by scripts/setup.py, since which build is right depends on the machine.
set -eu
cd "$(dirname "$0")/.."
cuda=$(uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-annotate --no-header |
    sed -nE 's/^((nvidia|cuda|triton)[a-z0-9-]*)==.*/--no-emit-package \1/p')
# shellcheck disable=SC2086
uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
    --no-emit-find-links --no-header --no-annotate --no-emit-package torch $cuda \
    -o requirements.lock "$@"
