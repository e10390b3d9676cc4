"""What the detector's parts raise when a file or a setting cannot be used."""


class BundleError(ValueError):
    """A bundle, a weights file, a prompt file or a setting cannot be used; the message says what to do."""
