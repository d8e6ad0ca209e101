#!/bin/sh
# Run one job of `python -m infra.setup` with the project's environment, which is completed first.
# The fast path: the environment's own interpreter finds its stamp valid (infra/setup/stamp.py).
set -eu
cd "$(dirname "$0")/../.."
own=.venv/bin/python

if [ -x "$own" ] && "$own" -S -m infra.setup.stamp 2>/dev/null; then
    [ "$1" = venv ] && exit 0
    exec "$own" -m infra.setup "$@"
fi

usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
about='import sys; print("Python %d.%d.%d" % sys.version_info[:3])'
found=""
for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c "$usable" >/dev/null 2>&1 </dev/null; then
        [ "$1" = venv ] && exec "$path" -m infra.setup venv
        "$path" -m infra.setup venv
        exec "$own" -m infra.setup "$@"
    fi
    found="$found
    $path: $("$path" -c "$about" 2>/dev/null </dev/null || echo 'does not start')"
done

cat >&2 <<END
skyfleet set-up: no usable Python was found. Required: Python 3.11 or newer with its venv and ensurepip modules.
  found:${found:- none on PATH}
  do: install one (Debian, Ubuntu: python3 and python3-venv) or select one: make PYTHON=/path/to/python3 ...
END
exit 1
