"""The id key of an output: that of the private folder, or one of the output's own, derived from it.

A key of its own parts an output from all others: the same object has another id in each. It is derived from
the private folder's key and a random scope. The audit log names the scope, so that results may be moved; the
private folder notes for which output it was made, so that nobody can choose another output's key by a copy
of its log. Whoever holds the private folder still reads all of them.
"""

from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.ledger.audit import SCOPE, AuditError, first_entry
from s2sw.pipeline.privacy.ids import derived_key
from s2sw.pipeline.privacy.output_scopes import OutputScopes, address_of
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.forms import is_object_id

_DOMAIN = b"output"


@dataclass(frozen=True)
class OutputKey:
    """key: None where there is none yet. scope: what it was derived with, "" for the folder's own."""

    key: bytes | None
    scope: str = ""


def output_key(inside: Inside, output: OutputFolder) -> OutputKey:
    """Return the key that the ids of an output were made with, for those who read it.

    The key is None where the private folder has none, or did not make the output's scope. Raises
    KeyFileError, and AuditError if the log names a scope that is none.
    """
    scope = _recorded_scope(output)
    if scope and inside.scopes().output_of(scope) is None:
        return OutputKey(None, scope)
    return OutputKey(_derived(inside.key(), scope), scope)


def run_key(inside: Inside, output: OutputFolder, own: bool = False, make: bool = False) -> OutputKey:
    """Return the key of a run's ids.

    own: take one of its own where there are no results yet. make: make what is missing and note whose it is;
    without, a key that is not made yet is None. Raises KeyFileError, and AuditError if results are there
    whose key is the folder's, though own is set, or one of another output or private folder.
    """
    key, scopes = inside.make_key() if make else inside.key(), inside.scopes()
    if first_entry(output) is None:
        if not own:
            return OutputKey(key)
        scope = scopes.make(output.root) if make else ""
        return OutputKey(_derived(key, scope) if scope else None, scope)
    scope = _recorded_scope(output)
    if own and not scope:
        raise AuditError(
            "its ids were made with the key of all outputs, key_per_output asks for one of its own: name "
            "another output, or leave it out"
        )
    if scope:
        _check_owner(scopes, scope, output)
        if make:
            scopes.note(scope, output.root)  # it may have been moved
    return OutputKey(_derived(key, scope), scope)


def configured_key(
    config: ScreenConfig, inside: Inside, output: OutputFolder, make: bool = False
) -> OutputKey:
    """Return the key of a run's ids as it is configured; none in open mode. Raises as ``run_key`` does."""
    if not config.private:
        return OutputKey(None)
    return run_key(inside, output, config.key_per_output, make)


def _derived(key: bytes | None, scope: str) -> bytes | None:
    return derived_key(key, _DOMAIN + b" " + scope.encode()) if scope else key


def _recorded_scope(output: OutputFolder) -> str:
    """Return what the first entry of the log names, "" where it names none."""
    scope = (first_entry(output) or {}).get(SCOPE)
    if scope is not None and not is_object_id(scope):
        raise AuditError(
            f"audit: {SCOPE} of the first entry is {str(scope)[:40]!r}, not 26 characters a-z2-7: restore "
            "the log from a copy, or name another output"
        )
    return scope or ""


def _check_owner(scopes: OutputScopes, scope: str, output: OutputFolder) -> None:
    """Raise AuditError unless the scope was made here for this output, or for one that has moved."""
    owner = scopes.output_of(scope)
    if owner is None:
        raise AuditError(
            "its key is one of its own that this private folder did not make: name the private folder that "
            "it was made with (--private-dir), or another output"
        )
    if owner not in ("", address_of(output.root)) and _may_be_there(owner, scope):
        raise AuditError(
            f"its log names the key of the output {owner}: name another output; if it is that one and was "
            f"moved, empty the file {scopes.place(scope)}"
        )


def _may_be_there(address: str, scope: str) -> bool:
    """Tell whether the output at an address still has this scope, as far as can be seen from here."""
    if is_s3(address):
        return True
    try:
        return _recorded_scope(LocalOutput(Path(address))) == scope
    except (OSError, AuditError):
        return True
