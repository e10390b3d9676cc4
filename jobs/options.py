"""Options that several commands have, declared once."""

from pathlib import Path
from typing import Annotated

import typer

from s2sw.jobs.logs import LogFormat

OutputOption = Annotated[
    str | None, typer.Option("--output", "-o", help="Folder or s3://bucket/prefix for the results.")
]
ManifestOption = Annotated[
    str | None,
    typer.Option(help="CSV, Parquet or S3 Inventory that lists the objects to screen (docs/cluster.md)."),
]
BundleOption = Annotated[
    str | None,
    typer.Option(help="Detector bundle: a folder, s3://bucket/prefix, or embedded.  [default: embedded]"),
]
OpenOption = Annotated[
    bool | None,
    typer.Option(
        "--open/--private",
        help="Store each object's address in the results, or only a keyed id.  [default: private]",
    ),
]
LimitOption = Annotated[int | None, typer.Option(help="Take only the first N objects of the listing.")]
UntilOption = Annotated[
    str | None,
    typer.Option(help="Stop at a time (06:00) or after a duration (90m); the rest is deferred."),
]
ForceOption = Annotated[
    bool | None, typer.Option("--force", help="Screen again what earlier runs did under the same settings.")
]
PartitionsOption = Annotated[
    int | None,
    typer.Option(
        help="Processes that write results on Ray (docs/scaling.md).  [default: by number of objects]"
    ),
]
WorkersOption = Annotated[int | None, typer.Option(help="CPU cores to use.  [default: all]")]
MapThresholdOption = Annotated[
    float | None, typer.Option(help="Map value (0..1) from which a pixel is in the mask.  [default: 0.5]")
]
PrecisionOption = Annotated[
    str | None, typer.Option(help="fp32, bf16, int8, or auto: bf16 if quicker, or fp32.  [default: auto]")
]
ClassNameOption = Annotated[
    str | None,
    typer.Option(help="Class name of all objects, for a bundle with several (docs/detectors.md)."),
]
TileOption = Annotated[
    int | None,
    typer.Option(help="Also score tiles of this side, in pixels, of larger images.  [default: off]"),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        help="Archive profile to rank by: a folder, auto (keep one for this archive, from 48 objects on), "
        "none, or online (by the objects before it: the order counts) (docs/profile.md).  [default: auto]"
    ),
]
ZeroShotMapOption = Annotated[
    bool | None,
    typer.Option(
        "--zero-shot-map",
        help="With a profile, also keep the detector's own map of each slice.  [default: off]",
    ),
]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint-url", help="S3 endpoint.  [default: AWS_ENDPOINT_URL or AWS]")
]
AddressOption = Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")]
PrivateOption = Annotated[
    str | None,
    typer.Option(
        "--private-dir", help="Folder or s3:// prefix of the id key and the crosswalk.  [default: ~/.s2sw]"
    ),
]
KeyPerOutputOption = Annotated[
    bool | None,
    typer.Option(
        "--key-per-output", help="Make ids that differ from those in other outputs (docs/privacy.md)."
    ),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(help="Write metrics for Prometheus to this file (docs/report.md).  [default: none]"),
]
FlagOption = Annotated[
    Path | None, typer.Option(help="File with flagging thresholds, from `s2sw threshold`.  [default: none]")
]
FingerprintOption = Annotated[
    str | None,
    typer.Option(help="Fingerprint of the settings, or its first digits.  [default: the newest run's]"),
]
ResultsArgument = Annotated[
    str, typer.Argument(help="Folder or s3://bucket/prefix with results, or the job file that wrote them.")
]
VerboseOption = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Log details as well.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]
LogFormatOption = Annotated[
    LogFormat, typer.Option(help="Text, or one JSON object per line.", show_default=True)
]
