"""What tests of profiles share."""

from tests.support.threads import one_thread as one_thread
