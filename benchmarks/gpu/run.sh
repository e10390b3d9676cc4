#!/usr/bin/env bash
# Runs the GPU stages in ten minutes at most and writes their figures to $OUT; README.md beside this says more.
#   OUT=figures benchmarks/gpu/run.sh [--device cpu] [--quick] [--only parity,speed] [--carried .gpu]
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${OUT:?set it to the folder that the figures are to be written to}"
mkdir -p "$OUT"
python=${PYTHON:-python3}
carried=.gpu
for ((i = 1; i < $#; i++)); do
  if [ "${!i}" = --carried ]; then j=$((i + 1)); carried=${!j}; fi
done

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
lacking='from importlib.util import find_spec; import sys; sys.exit(None in map(find_spec, sys.argv[1:]))'
if ! "$python" -c "$lacking" pycocotools pydantic pytorch_wavelets zstandard &&
  compgen -G "$carried/wheels/*.whl" >/dev/null; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$carried"/wheels/*.whl
  export PYTHONPATH="$site:$PYTHONPATH"
fi
# as Ray sets them for an actor of one CPU: what uses more cores says so itself
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
status=0
timeout --kill-after=5 580 "$python" -m benchmarks.gpu.run "$@" 2>&1 | tee "$OUT/log.txt" || status=$?
exit "$status"
