"""How an object of the archive can end: one status, and for all but screened ones one reason.

Every listed object ends in exactly one status, so that in every run
``listed = screened + no_pixels + quarantined + deferred``.
"""

from enum import StrEnum


class Status(StrEnum):
    """The terminal status of one object under one fingerprint."""

    SCREENED = "screened"
    """Every slice was scored and is committed."""
    NO_PIXELS = "no_pixels"
    """A valid object that carries no photograph (a report, a segmentation, a directory)."""
    QUARANTINED = "quarantined"
    """Could not be screened; the reason says why. Kept for a person to look at."""
    DEFERRED = "deferred"
    """Not reached in this run's time window; the next run takes it up."""


class Reason(StrEnum):
    """Why an object was not screened. A closed list: free text could carry personal data."""

    # the content
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    TRUNCATED = "truncated"
    NO_PIXEL_DATA = "no_pixel_data"
    """An object of an image class that is whole and holds no pixels."""
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    """A known format in a variant that no decoder here covers (video, RGB at 32 bits, ...)."""
    CODEC_MISSING = "codec_missing"
    """A variant that an optional decoder would cover, were it installed."""
    TOO_LARGE = "too_large"
    """Above a configured limit of size, geometry, frames, members or nesting."""
    BOMB = "bomb"
    """Would unpack to far more than its size can honestly hold."""
    UNSAFE_MEMBER = "unsafe_member"
    """An archive member whose name leaves the archive (absolute, or through ``..``), or a link."""
    NOT_FINITE = "not_finite"
    """No finite sample at all, so that nothing can be shown."""

    # the content is valid but no photograph (status no_pixels)
    NOT_AN_IMAGE = "not_an_image"
    """A report, presentation state, waveform, document, directory or plan."""
    DERIVED_LABELS = "derived_labels"
    """A segmentation, dose grid or parametric map: numbers on a grid, not a photograph."""

    NO_CLASS = "no_class"
    """The detector judges by class names, and no rule of the configuration gives this object one."""

    # the way to the content
    NOT_FOUND = "not_found"
    """Listed, but gone when it was read; a link that leads nowhere, or round in a circle."""
    NOT_A_FILE = "not_a_file"
    """A device, a socket or a pipe, or a link to one or to a folder outside the source: no bytes to read."""
    UNAVAILABLE = "unavailable"
    """There, and not given out as it is: in an archived storage class, or under a key of the customer's."""
    CHANGED = "changed"
    """Its size or ETag is not the one listed; the next listing takes the new version."""
    DENIED = "denied"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    IO_ERROR = "io_error"

    # the work
    WORKER_CRASHED = "worker_crashed"
    """The process that decoded it died, again when it was alone in its task."""
    OUT_OF_MEMORY = "out_of_memory"
    DETECTOR_FAILED = "detector_failed"
    NOT_FINITE_SCORE = "not_finite_score"
    TIME_WINDOW = "time_window"
    """The only reason of status deferred."""


MEANINGS = {
    Reason.EMPTY: "the file has no bytes",
    Reason.UNKNOWN_FORMAT: "no format that is read here",
    Reason.TRUNCATED: "ends too early",
    Reason.NO_PIXEL_DATA: "an image object without pixel data",
    Reason.MALFORMED: "damaged, or against its format's rules",
    Reason.UNSUPPORTED: "a known format in a variant that no decoder here covers",
    Reason.CODEC_MISSING: "an optional decoder that is not installed would read it",
    Reason.TOO_LARGE: "above a configured limit",
    Reason.BOMB: "would unpack to far more than its size can honestly hold",
    Reason.UNSAFE_MEMBER: "a name in an archive that leads out of it, or a link",
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
    Reason.WORKER_CRASHED: "its decoder ended the process, alone too",
    Reason.OUT_OF_MEMORY: "needed more memory than there was",
    Reason.DETECTOR_FAILED: "the detector failed on it",
    Reason.NOT_FINITE_SCORE: "the detector gave no finite score",
    Reason.TIME_WINDOW: "left for the next run",
}
"""What each reason says, in words for a person."""

NO_PIXELS_REASONS = frozenset({Reason.NOT_AN_IMAGE, Reason.DERIVED_LABELS})

TRANSIENT_REASONS = frozenset({Reason.TIMEOUT, Reason.THROTTLED, Reason.IO_ERROR})
"""Reasons that may be gone at the next try; the others are properties of the object."""

STORAGE_REASONS = TRANSIENT_REASONS | {Reason.DENIED, Reason.NOT_FOUND, Reason.CHANGED, Reason.UNAVAILABLE}
"""Reasons that say nothing of the content: an outage, expired credentials. The next run asks again."""


def status_of(reason: Reason) -> Status:
    """Return the status that an object with this reason ends in."""
    if reason in NO_PIXELS_REASONS:
        return Status.NO_PIXELS
    return Status.DEFERRED if reason is Reason.TIME_WINDOW else Status.QUARANTINED


class ScreeningError(Exception):
    """One object cannot be screened, for a reason that is safe to write down.

    ``detail`` may hold text that came from the object (a tag's value, a path): it is for a person at
    a terminal in open mode and is never written, logged or sent on in private mode. Without one it is what
    the reason means.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = detail or MEANINGS[reason]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ScreeningError"], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)
