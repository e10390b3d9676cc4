"""A suite file: many data sets, evaluated by one command into tables as in papers."""

from typing import Literal

from pydantic import Field

from s2sw.schemas.strict import Strict

Level = Literal["image", "pixel"]


class SuiteDataSet(Strict):
    """One data set of a suite."""

    path: str = Field(description="folder, .csv, .parquet or .json of the data set, relative to the file")
    name: str | None = Field(None, description="name in the table; default: its folder")
    split: str = Field("test", description="split to use, of data sets that have splits")
    metrics: tuple[Level, ...] = Field(
        ("image", "pixel"), min_length=1, description="kinds of metrics that its labels allow"
    )


class Suite(Strict):
    """The settings of ``s2sw evaluate --suite FILE``."""

    datasets: tuple[SuiteDataSet, ...] = Field(min_length=1, description="the data sets, a row each")
    bundles: tuple[str, ...] = Field(
        (), description="bundle folders, s3:// prefixes, or: embedded; the command's come first"
    )
