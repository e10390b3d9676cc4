"""The addresses of a slice: its page, and what that loads."""

from urllib.parse import quote

from s2sw.schemas.tables import Row


def slice_address(root: str, row: Row, query: str) -> str:
    """Return the address of a slice's page. root: of the page; query: what ``Filters.query`` gives."""
    return f"{root}/slice/{quote(row['object_id'], safe='')}/{row['slice_index']}{query}"


def media_paths(root: str, row: Row) -> dict[str, str]:
    """Return the addresses of a slice's thumbnail, picture, facts, values and map. root: of the page."""
    run_id, object_id, settings = (quote(row[n], safe="") for n in ("run_id", "object_id", "fingerprint"))
    of_run = f"{run_id}/{object_id}/{row['slice_index']}?settings={settings}"
    return {
        **{kind: f"{root}/{kind}/{of_run}" for kind in ("thumbnail", "picture", "facts", "values")},
        "map": f"{root}/map/{object_id}/{row['slice_index']}?settings={settings}",
    }
