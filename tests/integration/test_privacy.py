"""Private mode: nothing that names a file or a person is in the results, nor readable by others."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import Archive
from tests.support.commands import Run

pytestmark = pytest.mark.integration

PERSON = (
    "CompressedSamples^CT1",
    "1CT1",
    "JFK IMAGING",
)  # patient, patient id and institution of the CT slice


def everything(output: Path) -> bytes:
    """Return all bytes of the results, and all values of their tables unpacked."""
    parts = []
    for path in sorted(p for p in output.rglob("*") if p.is_file()):
        parts += [str(path.relative_to(output)).encode(), path.read_bytes()]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            parts += [repr(table.schema.metadata).encode(), repr(table.to_pylist()).encode()]
    return b"\n".join(parts)


def secrets_of(archive: Archive) -> list[str]:
    paths = [Path(name) for name in archive.expected]
    return [
        str(archive.folder),
        archive.folder.name + "/",
        *map(str, paths),
        *(p.name for p in paths),
        *PERSON,
    ]


def test_the_person_is_in_the_archive(archive: Archive) -> None:
    data = (archive.folder / "doe^jane/ct.dcm").read_bytes()
    assert all(text.encode() in data for text in PERSON)


def test_the_results_name_nothing(private_run: Run, archive: Archive) -> None:
    content = everything(Path(private_run.output))
    assert [text for text in secrets_of(archive) if text.encode() in content] == []
    assert {row["uri"] for row in private_run.objects()} == {None}


def test_the_terminal_names_nothing(private_run: Run, archive: Archive) -> None:
    said = private_run.stdout + private_run.stderr
    assert [text for text in secrets_of(archive) if text in said] == []


def test_others_can_read_nothing(private_run: Run) -> None:
    for folder in (private_run.private, Path(private_run.output)):
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_ids_mean_nothing_without_the_key(private_run: Run, archive: Archive, names: dict[str, str]) -> None:
    assert len(names) == len(archive.expected)
    assert (private_run.private / "id.key").is_file()
    assert all(len(object_id) == 26 for object_id in names)


def test_an_archive_of_the_results_alone_holds_no_key(private_run: Run, tmp_path: Path) -> None:
    key = (private_run.private / "id.key").read_bytes()
    copy = shutil.copytree(private_run.output, tmp_path / "copy")
    assert key not in everything(copy)
    assert bytes.fromhex(key.decode()) not in everything(copy)
