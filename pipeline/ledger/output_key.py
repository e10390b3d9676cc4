"""The id key of an output: that of the private folder, or one of the output's own, derived from it.

A key of its own parts an output from all others: the same object has another id in each. It is derived from
the private folder's key and a scope, which the audit log names, so that results may be moved; whoever holds
the private folder still reads all of them.
"""

from dataclasses import dataclass

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.audit import SCOPE, AuditError, first_entry
from s2sw.pipeline.privacy.ids import derived_key, keyed_name
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.schemas.config import ScreenConfig

_DOMAIN = b"output"


@dataclass(frozen=True)
class OutputKey:
    """key: None where there is none yet. scope: what it was derived with, "" for the folder's own."""

    key: bytes | None
    scope: str = ""


def output_key(inside: Inside, output: OutputFolder, own: bool = False, make: bool = False) -> OutputKey:
    """Return the key that the ids of an output were made with, or will be.

    own: take one of its own where there are no results yet. make: make the folder's key on first use.
    Raises KeyFileError, and AuditError if results are there whose key is the folder's, though own is set.
    """
    key = inside.make_key() if make else inside.key()
    entry = first_entry(output)
    if entry is None:
        scope = keyed_name(key, _DOMAIN, output.root.encode()) if own and key else ""
    else:
        scope = str(entry.get(SCOPE) or "")
        if own and not scope:
            raise AuditError(
                "its ids were made with the key of all outputs, key_per_output asks for one of its own: name "
                "another output, or leave it out"
            )
    return OutputKey(derived_key(key, _DOMAIN + b" " + scope.encode()) if scope else key, scope)


def configured_key(
    config: ScreenConfig, inside: Inside, output: OutputFolder, make: bool = False
) -> OutputKey:
    """Return the key of a run's ids as it is configured; none in open mode. Raises as ``output_key`` does."""
    if not config.private:
        return OutputKey(None)
    return output_key(inside, output, config.key_per_output, make)
