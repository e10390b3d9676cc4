"""How an object of the archive can end: one status and, unless it was screened, one reason.

Every listed object ends in exactly one status, so that in every run
``listed = screened + no_pixels + quarantined + deferred``.
"""

from enum import StrEnum


class Status(StrEnum):
    """The terminal status of one object under one fingerprint."""

    SCREENED = "screened"
    """Every slice was scored and is committed."""
    NO_PIXELS = "no_pixels"
    """A valid object that holds no picture to screen (a report, a segmentation, a directory)."""
    QUARANTINED = "quarantined"
    """Could not be screened; the reason says why. A person should look at it."""
    DEFERRED = "deferred"
    """Not finished in this run's time window; the next run screens it."""


class Reason(StrEnum):
    """Why an object was not screened. A closed list: free text could carry personal data."""

    # the content
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    TRUNCATED = "truncated"
    NO_PIXEL_DATA = "no_pixel_data"
    """A complete object of an image class, without pixel data."""
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    """A known format in a variant that no decoder here covers (video, RGB at 32 bits, ...)."""
    CODEC_MISSING = "codec_missing"
    """A variant that needs an optional decoder, which is not installed."""
    TOO_LARGE = "too_large"
    """Above a configured limit of size, geometry, frames, members or nesting."""
    BOMB = "bomb"
    """Would unpack to far more than its size can plausibly hold."""
    UNSAFE_MEMBER = "unsafe_member"
    """An archive member whose name leaves the archive (absolute, or through ``..``), or a link."""
    NOT_FINITE = "not_finite"
    """No finite sample at all, so that nothing can be shown."""

    # the content is valid but no picture (status no_pixels)
    NOT_AN_IMAGE = "not_an_image"
    """A report, presentation state, waveform, document, directory or plan."""
    DERIVED_LABELS = "derived_labels"
    """A segmentation, dose grid or parametric map: numbers on a grid, not a picture."""

    NO_CLASS = "no_class"
    """The detector needs a class name, and no rule of the configuration gives this object one."""

    # storage
    NOT_FOUND = "not_found"
    """Listed, but gone when it was read; or a broken or circular link."""
    NOT_A_FILE = "not_a_file"
    """A device, a socket or a pipe, or a link to one or to a folder outside the source: no bytes to read."""
    UNAVAILABLE = "unavailable"
    """Exists, but cannot be read: in an archived storage class, or encrypted with a customer's key."""
    CHANGED = "changed"
    """Its size or ETag differs from the listing; the next run lists the new version."""
    DENIED = "denied"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    IO_ERROR = "io_error"

    # processing
    WORKER_CRASHED = "worker_crashed"
    """The process that decoded it died, also when the object was alone in its task."""
    OUT_OF_MEMORY = "out_of_memory"
    DETECTOR_FAILED = "detector_failed"
    NOT_FINITE_SCORE = "not_finite_score"
    TIME_WINDOW = "time_window"
    """The only reason of status deferred."""


MEANINGS = {
    Reason.EMPTY: "the file has no bytes",
    Reason.UNKNOWN_FORMAT: "not a known format",
    Reason.TRUNCATED: "ends too early",
    Reason.NO_PIXEL_DATA: "an image object without pixel data",
    Reason.MALFORMED: "damaged, or breaks its format's rules",
    Reason.UNSUPPORTED: "a known format in a variant that no decoder here covers",
    Reason.CODEC_MISSING: "needs an optional decoder that is not installed",
    Reason.TOO_LARGE: "above a configured limit",
    Reason.BOMB: "would unpack to far more than its size can plausibly hold",
    Reason.UNSAFE_MEMBER: "an archive member with a name outside the archive, or a link",
    Reason.NOT_FINITE: "no finite sample at all",
    Reason.NO_CLASS: "no rule of the run's configuration gives it a class name",
    Reason.NOT_AN_IMAGE: "a report, document or the like",
    Reason.DERIVED_LABELS: "a segmentation or other derived numbers",
    Reason.NOT_FOUND: "was listed, but gone when it was read",
    Reason.NOT_A_FILE: "a device, socket or pipe, or a link to one or to a folder elsewhere",
    Reason.UNAVAILABLE: "archived, or encrypted with a key that the storage does not have",
    Reason.CHANGED: "changed between listing and reading",
    Reason.DENIED: "reading was not permitted",
    Reason.TIMEOUT: "the storage did not answer in time",
    Reason.THROTTLED: "the storage asked to slow down",
    Reason.IO_ERROR: "reading failed",
    Reason.WORKER_CRASHED: "its decoder crashed the process, also when tried alone",
    Reason.OUT_OF_MEMORY: "needed more memory than there was",
    Reason.DETECTOR_FAILED: "the detector failed on it",
    Reason.NOT_FINITE_SCORE: "the detector gave no finite score",
    Reason.TIME_WINDOW: "left for the next run",
}
"""What each reason means, in words for people."""

NO_PIXELS_REASONS = frozenset({Reason.NOT_AN_IMAGE, Reason.DERIVED_LABELS})

TRANSIENT_REASONS = frozenset({Reason.TIMEOUT, Reason.THROTTLED, Reason.IO_ERROR})
"""Transient reasons: a retry may succeed. The others do not change within a run."""

STORAGE_REASONS = TRANSIENT_REASONS | {Reason.DENIED, Reason.NOT_FOUND, Reason.CHANGED, Reason.UNAVAILABLE}
"""Reasons that say nothing about the content: an outage, expired credentials. The next run tries again."""


def status_of(reason: Reason) -> Status:
    """Return the status that an object with this reason ends in."""
    if reason in NO_PIXELS_REASONS:
        return Status.NO_PIXELS
    return Status.DEFERRED if reason is Reason.TIME_WINDOW else Status.QUARANTINED


class ScreeningError(Exception):
    """One object cannot be screened, for a reason that is safe to write down.

    ``detail`` may hold text from the object (a tag's value, a path). It is for a person at a terminal in open
    mode; in private mode it is never written, logged or passed on. By default it is the reason's meaning.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = detail or MEANINGS[reason]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ScreeningError"], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)
