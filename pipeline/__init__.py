"""The screening run and what is done with its results."""

import os

# Ray reads these when it is imported, which every module below does after this one: no usage reports, and a
# closed port of this machine as their address, for it posts on some clusters that they are off (Ray 2.60)
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_REPORT_URL"] = "http://127.0.0.1:9"
# its C++ parts write to stderr what is no matter for a user; set it to debug
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# workers without a GPU of their own must not see the others'
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
