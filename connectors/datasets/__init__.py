"""Labelled data sets to train on and to evaluate with, in the layouts that people have. Knows no torch."""

from pathlib import Path

from s2sw.connectors.datasets.folders import read_folders
from s2sw.connectors.datasets.meta import META, read_meta
from s2sw.connectors.datasets.samples import DataSet, DataSetError, Sample
from s2sw.connectors.datasets.tables import SUFFIXES, VISA, read_table

__all__ = ["DataSet", "DataSetError", "Sample", "open_dataset"]


def open_dataset(path: str | Path, *, split: str = "test", name: str | None = None) -> DataSet:
    """Read the list of a data set; no picture is opened, but local ones must be there.

    path: a folder in MVTec AD's layout, of one class or several; a folder with VisA's ``split_csv/1cls.csv``
        or a ``meta.json``; or such a CSV, Parquet or JSON file itself.
    split: which rows of files that name splits. name: what the data set is called, by default its folder.
    Raises DataSetError, one line that names the file and the row.
    """
    place = Path(path)
    if place.is_dir():
        samples = _read_directory(place, split)
    elif not place.is_file():
        raise DataSetError(f"{place}: no such file or folder; name a data set (docs/evaluation.md)")
    elif place.suffix.lower() == ".json":
        samples = read_meta(place, split)
    elif place.suffix.lower() in SUFFIXES:
        samples = read_table(place, split)
    else:
        raise DataSetError(f"{place}: a folder, or a .json, .csv or .parquet file is expected")
    if not samples:
        raise DataSetError(f"{place}: no picture is listed; see docs/evaluation.md for the layouts")
    return DataSet(name or _name(place), samples)


def _read_directory(folder: Path, split: str) -> list[Sample]:
    if (folder / META).is_file():
        return read_meta(folder / META, split)
    if (folder / VISA).is_file():
        return read_table(folder / VISA, split)
    return read_folders(folder, split)


def _name(place: Path) -> str:
    absolute = place.absolute()
    return absolute.name if place.is_dir() else absolute.parent.name
