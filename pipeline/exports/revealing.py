"""What an export gives away beyond the results: asked for by name, and said before it is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from s2sw.schemas.errors import UserError


class Reveal(StrEnum):
    """Something that results in private mode do not hold."""

    PIXELS = "pixels"
    NAMES = "names"
    PATIENT = "patient"


MEANING = {
    Reveal.PIXELS: "pictures of the objects, with whatever is burned into them",
    Reveal.NAMES: "addresses of the objects: paths, file names, keys",
    Reveal.PATIENT: (
        "the patient's name, id, sex and birth date, and the UIDs, dates and accession number of the study, "
        "which a DICOM object copies from the one it refers to (PS3.3 C.7.1.1, C.7.2.1)"
    ),
}


class RevealError(UserError):
    """An export would reveal what was not asked for, or was asked for what it cannot reveal."""


@dataclass(frozen=True)
class Revealing:
    """What a format reveals always, and what it does when asked."""

    always: frozenset[Reveal] = frozenset()
    on_request: frozenset[Reveal] = frozenset()


def revealed(name: str, format_: Revealing, asked: Iterable[Reveal], private: bool) -> frozenset[Reveal]:
    """Return what this export reveals.

    In private mode all of it must be asked for. In open mode, whose results hold addresses anyway, these and
    what the format cannot do without need no asking. Raises RevealError.
    """
    wanted = frozenset(asked)
    if pointless := sorted(wanted - format_.always - format_.on_request):
        raise RevealError(f"--reveal {pointless[0]}: the format {name} never holds that; leave it out")
    if not private:
        return wanted | format_.always | (format_.on_request & {Reveal.NAMES})
    if missing := sorted(format_.always - wanted):
        flags = " ".join(f"--reveal {reveal}" for reveal in missing)
        meaning = "; ".join(f"{reveal}: {MEANING[reveal]}" for reveal in missing)
        raise RevealError(f"the results are private and {name} holds {meaning}; ask for it with {flags}")
    return wanted
