"""A suite file: many data sets, evaluated in one command into the kind of table that papers print."""

from typing import Literal

from pydantic import Field

from s2sw.schemas.strict import Strict

Level = Literal["image", "pixel"]


class SuiteDataSet(Strict):
    """One data set of a suite."""

    path: str = Field(description="folder, .csv, .parquet or .json of the data set, relative to the file")
    name: str | None = Field(None, description="what the table calls it; default: its folder")
    split: str = Field("test", description="which rows of files that name splits")
    metrics: tuple[Level, ...] = Field(
        ("image", "pixel"), min_length=1, description="which kind of figures its labels allow"
    )


class Suite(Strict):
    """Everything that ``s2sw evaluate --suite FILE`` is told."""

    datasets: tuple[SuiteDataSet, ...] = Field(min_length=1, description="the data sets, a row each")
    bundles: tuple[str, ...] = Field(
        (), description="bundle folders, s3:// prefixes, or: embedded; the command's come first"
    )
