#!/usr/bin/env bash
# Make .venv hold one locked level of dependencies (base, dev or bench) and the package itself.
# Needs Python >= 3.11 only; uses uv when it is there. Prints what it does, installs once per lock.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:?usage: scripts/bootstrap.sh base|dev|bench}
lock=requirements/$level.txt
venv=${VENV:-.venv}
stamp=$venv/.ivhedge-$level
py=$venv/bin/python

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "ivhedge needs Python >= 3.11; none found. Set PYTHON=/path/to/python3.11 and run again." >&2
  exit 1
}

want=$(cat "$lock" pyproject.toml | cksum)
[ -x "$py" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && exit 0

if [ ! -x "$py" ]; then
  python=$(find_python)
  echo "creating $venv with $("$python" --version)"
  if command -v uv >/dev/null; then
    uv venv --quiet --python "$python" "$venv"
  else
    "$python" -m venv "$venv" || {
      echo "The venv module is missing: install your system's python3-venv package, or uv, and run again." >&2
      exit 1
    }
  fi
fi

echo "installing the locked $level dependencies (first time: a few hundred MB)"
if command -v uv >/dev/null; then
  VIRTUAL_ENV=$PWD/$venv uv pip install --quiet --require-hashes -r "$lock"
  VIRTUAL_ENV=$PWD/$venv uv pip install --quiet --no-deps --no-build-isolation -e .
else
  "$py" -m pip --version >/dev/null 2>&1 || "$py" -m ensurepip --upgrade >/dev/null
  "$py" -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r "$lock"
  "$py" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
echo "$want" >"$stamp"
