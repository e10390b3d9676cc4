"""The GPU path measured in one run of ten minutes: benchmarks/gpu/run.sh, see README.md beside it."""
