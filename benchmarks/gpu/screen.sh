#!/usr/bin/env bash
# Runs the whole screening on the GPU machine, after both parts have been carried there; see README.md.
#   OUT=figures benchmarks/gpu/screen.sh FIRST SECOND [--device cpu] [--quick]
set -euo pipefail
first=$(realpath "${1:?the folder of the first part}") second=$(realpath "${2:?the folder of the second part}")
shift 2
cd "$(dirname "$0")/../.."
: "${OUT:?set it to the folder that the figures are to be written to}"
mkdir -p "$OUT"
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
cat "$first"/site.tar.xz "$second"/site.tar.xz >"$site/site.tar.xz"
"$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' "$site/site.tar.xz" "$site"
"$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site/base" .gpu/wheels/*.whl
export PYTHONPATH="$site/base:$site/site:$PWD"
timeout --kill-after=5 300 "$python" -m benchmarks.gpu.screen "$@" 2>&1 | tee "$OUT/screen.txt"
