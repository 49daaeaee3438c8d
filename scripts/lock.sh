#!/usr/bin/env bash
# Rewrite the lock files from pyproject.toml. The locks pin versions and hashes for every supported Python
# and name no package index, so that `uv` and plain `pip` install the same set from any index. The build
# back end is part of every level, because the package itself is installed without build isolation.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  local level=$1
  shift
  uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet \
    --output-file "requirements/$level.txt"
}
lock base --extra build
lock dev --extra dev
lock bench --extra dev --extra bench --extra scale
