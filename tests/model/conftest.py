"""What the tests of the model share."""

from tests.precision import bf16_everywhere as bf16_everywhere
from tests.threads import one_thread as one_thread
