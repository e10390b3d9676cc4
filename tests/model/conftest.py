"""What the tests of the model share."""

from tests.support.precision import bf16_everywhere as bf16_everywhere
from tests.support.threads import one_thread as one_thread
