"""What the tests of the model share."""

from tests.threads import one_thread as one_thread
