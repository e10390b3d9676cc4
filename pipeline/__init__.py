"""The screening run: manifest, Ray Data graph, stages, the one writer, the run's loop."""

import os

# Ray reads these when it is imported, after this one; what keeps it from calling out is in boundary.py
# its C++ parts write to stderr what is no matter for a user; set it to debug
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# workers without a GPU of their own must not see the others'
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
