"""What the detector's parts raise when a file or a setting cannot be used."""

from s2sw.schemas.errors import UserError


class BundleError(UserError):
    """A bundle, a weights file, a prompt file or a setting cannot be used; the message says what to do."""
