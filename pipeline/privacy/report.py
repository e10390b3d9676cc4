"""What a configured run will read, write and connect to, in plain words, before anything is started."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from s2sw.connectors.storage.s3 import is_s3, s3_endpoint
from s2sw.pipeline.privacy.ids import KEY_ENV, KEY_FILE, KEY_FILE_ENV
from s2sw.pipeline.privacy.private_bucket import open_inside
from s2sw.pipeline.privacy.ray_ports import LOCAL_PORTS, Answer, ask_without_token, can_be_asked
from s2sw.pipeline.privacy.temporary import temporary_root
from s2sw.schemas.config import AUTO, NO_PROFILE, ScreenConfig, config_hash
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import AUDIT_FOLDER, DEFERRED_FILE
from s2sw.schemas.outcomes import Reason, Status
from s2sw.schemas.tables import DEFERRED, MANIFEST, OBJECTS, SLICES

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SWAPS = Path("/proc/swaps")

NOT_PROTECTED = (
    "Text that is burned into pixels: pixels are read and scored, and never written; but the archive keeps "
    "them, and whoever draws maps over pictures (`s2sw demo` does, `s2sw export` if asked to) shows them",
    "Exports (`s2sw export`): what goes beyond results (pictures, addresses, the patient in DICOM objects) "
    "must be asked for by name in private mode, and is then in the files of the export",
    "What results say by themselves: scores, sizes, number of slices, modality and body part; somebody who "
    "has the archive too can match objects by their size in bytes",
    "The archive's profile: features from which somebody may tell what kind of pictures it was made of; it "
    "lies in the private folder unless another place is named",
    "Masks and token maps: coarse outlines of what looked unusual, no picture, but not nothing",
    "Memory and swap space of this machine, its administrator, and whoever can act as this user",
    "What other programs do with the archive, the private folder or the results",
)


@dataclass(frozen=True)
class Section:
    """A heading and its lines."""

    title: str
    lines: list[str]


def describe_boundary(config: ScreenConfig) -> list[Section]:
    """Return the page: what is read, written and connected to, what files hold, what is not protected."""
    return [
        Section("Run", [f"{config.mode} mode, configuration {_digest(config)}"]),
        Section("Reads", _reads(config)),
        Section("Writes", _writes(config)),
        Section("Files of the results hold these columns and no others", _columns(config)),
        Section("Connects to", _connections(config)),
        Section("Listens, while it runs", _ports(config)),
        Section("Not protected", list(NOT_PROTECTED)),
    ]


def _digest(config: ScreenConfig) -> str:
    """Return the configuration's digest as the audit log will have it, if the key that it needs is there."""
    try:
        key = open_inside(config.private_dir, config.storage).key() if config.private else None
    except UserError:  # a warning says what is wrong with it
        key = None
    if config.private and key is None:
        return "without a digest: the first run makes the key for it"
    if config.private and config.key_per_output:  # which key that is, its results say; they are not read here
        return "without a digest: the audit log's is made with the output's own key"
    return f"{config_hash(config, key)} (as in the audit log)"


def warnings_of(config: ScreenConfig) -> list[str]:
    """Return what a security officer should not accept as it is."""
    found = []
    if not config.private:
        found.append("mode: open writes the address of every object into the results, and errors in full")
    endpoint = s3_endpoint(config.storage) if _uses_s3(config) else None
    if endpoint and urlsplit(endpoint).scheme == "http" and urlsplit(endpoint).hostname not in LOCAL_HOSTS:
        found.append(f"storage.endpoint_url: {endpoint} is not encrypted; use https")
    found += [f"{name} is set: requests to S3 go through {os.environ[name]}" for name in _proxies(config)]
    found += _exposed(config)
    if config.cluster.address:
        found.append(
            f"cluster.address: the Ray at {config.cluster.address} was started by others: its temporary "
            "files, dashboard, usage reports and network are theirs to close (docs/privacy.md)"
        )
        found += _strangers(config.cluster.address)
    if SWAPS.exists() and len(SWAPS.read_text().splitlines()) > 1:
        found.append("this machine swaps: what is in memory may be written to its swap space; encrypt that")
    return found


def _strangers(address: str) -> list[str]:
    if not can_be_asked(address) or ask_without_token(address) is not Answer.OBEYS:
        return []
    return [
        f"cluster.address: the Ray at {address} asks nobody for a token: whoever reaches it can run code as "
        "its user; start it with RAY_AUTH_MODE=token"
    ]


def _reads(config: ScreenConfig) -> list[str]:
    lines = [f"{config.source}: every object below it, and nothing is changed there"]
    if config.manifest is not None:
        lines = [
            f"{config.manifest}: the list of objects, and the data files that an inventory names",
            f"{config.source}: of what lies below it the objects of that list; nothing is changed there",
        ]
    bundle = "built in, made once in the user's cache" if config.bundle == "embedded" else config.bundle
    bundle += ", fetched once a machine into the user's cache" if is_s3(bundle) else ""
    return [*lines, f"detector: {bundle}"]


def _writes(config: ScreenConfig) -> list[str]:
    private = open_inside(config.private_dir, config.storage).address
    lines = [
        f"{config.output}: slices/*.parquet, objects/*.parquet, runs/*.json, runs/deferred.parquet, "
        f"{AUDIT_FOLDER}/*.jsonl",
        f"{private}: what must stay here, for this user alone: crosswalk and listing (columns "
        f"{_names(MANIFEST)})",
    ]
    if config.online:
        lines.append(
            f"{private}/profiles/*-online: what came before: features of pictures under keyed names, no "
            "picture; private data as well"
        )
    elif config.profile != NO_PROFILE:
        place = f"{private}/profiles/*" if config.profile == AUTO else config.profile
        verb = "made from 48 objects on" if config.profile == AUTO else "read"
        lines.append(
            f"{place}: the archive's profile, {verb}: features of its pictures under keyed names, no "
            "picture; private data as well"
        )
    if config.profile == AUTO:
        lines.append(f"{private}/*/building-*: what a profile is made from, until it is whole")
    if config.private:
        lines.append(_key_line(private))
    if config.metrics_file:
        lines.append(f"{config.metrics_file}: counts, times and codes of the run")
    if not config.cluster.address:
        lines.append(
            f"{_temporary(config)}/s2sw-*: while it runs, Ray's logs, sockets, token and spilled pixels, for "
            "this user alone; removed at the end, and after a crash when the next run starts"
        )
    return lines


def _key_line(private: str) -> str:
    if KEY_ENV in os.environ:
        return f"the environment variable {KEY_ENV}: the id key"
    if KEY_FILE_ENV in os.environ:
        return f"{os.environ[KEY_FILE_ENV]}, named by {KEY_FILE_ENV}: the id key"
    return f"{private}/{KEY_FILE}: the id key, made on first use"


def _columns(config: ScreenConfig) -> list[str]:
    uri = "address of the object" if not config.private else "always empty"
    kind = "SHA-256" if not config.private else "keyed HMAC-SHA256"
    statuses, reasons = ", ".join(Status), ", ".join(Reason)
    return [
        f"slices: {_names(SLICES)}",
        f"objects: {_names(OBJECTS)}",
        f"{DEFERRED_FILE}: {_names(DEFERRED)}",
        f"object_id: {kind} of address and version; uri: {uri}",
        f"status: {statuses}; reason: {reasons}",
        "modality, body_part: a code of DICOM's lists, else `other`",
        "group: codes of those lists and keyed names of folders and sites",
        "rarity_score, rank_score: by the archive's profile",
        "similar_pictures: ids and slices of pictures of that profile, most like the slice",
        "class_name: one of the names that the detector's bundle lists",
        "plane, applied, decoder, mask_encoding: words of the program",
        "runs/*.json: counts, times, versions and the configuration"
        + (", without addresses" if config.private else ""),
        f"{AUDIT_FOLDER}/*.jsonl: who ran what when, with which counts; account and host name",
    ]


def _connections(config: ScreenConfig) -> list[str]:
    lines = []
    if _uses_s3(config):
        endpoint = s3_endpoint(config.storage)
        lines.append(f"{endpoint or 'AWS S3 of the region'}: read and write objects; no redirect is followed")
        if config.storage.instance_role:
            lines.append("169.254.169.254: this machine's metadata service, for its role's credentials")
        if "AWS_WEB_IDENTITY_TOKEN_FILE" in os.environ or "AWS_ROLE_ARN" in os.environ:
            lines.append("AWS STS: credentials of the role that the environment names")
    if config.cluster.address:
        lines.append(f"{config.cluster.address}: the Ray cluster")
    else:
        lines.append("127.0.0.1: Ray's processes among themselves")
    return [*lines, "nothing else"]


def _ports(config: ScreenConfig) -> list[str]:
    """Say who listens where while it runs, and what they ask of whoever calls."""
    address = config.cluster.address
    if not address:
        place = "127.0.0.1, a free port, asks for a token"
        return [f"{process}: {place}; {purpose}" for process, purpose in LOCAL_PORTS.items()]
    lines = [f"{', '.join(LOCAL_PORTS)}: where they are bound is up to whoever started the cluster"]
    if can_be_asked(address):
        lines.append(f"{address}: {ask_without_token(address).value}")
    return lines


def _exposed(config: ScreenConfig) -> list[str]:
    """Name what others could reach, and what does not fit together."""
    found, inside = [], open_inside(config.private_dir, config.storage)
    private = inside.address
    if config.private:
        try:
            inside.key()
        except UserError as error:
            found.append(str(error))
        if inside.overlaps(config.output):
            found.append(
                f"private_dir: {private} and the output {config.output} lie in each other; part them"
            )
    for key, folder in (("private_dir", private), ("output", config.output)):
        if not is_s3(folder) and Path(folder).is_dir() and Path(folder).stat().st_mode & 0o077:
            found.append(f"{key}: {folder} is open to other users: chmod 700 {folder}")
    temporary = _temporary(config)
    if not config.cluster.address and not os.access(temporary, os.W_OK):
        found.append(f"cluster.temp_dir: cannot write to {temporary}")
    return found


def _uses_s3(config: ScreenConfig) -> bool:
    optional = (config.manifest or "", config.private_dir or "")
    return any(map(is_s3, (config.source, config.output, config.bundle, config.profile, *optional)))


def _proxies(config: ScreenConfig) -> list[str]:
    names = [name for base in PROXIES for name in (base, base.lower())]
    return [name for name in names if os.environ.get(name)] if _uses_s3(config) else []


def _temporary(config: ScreenConfig) -> str:
    try:
        return str(temporary_root(config.cluster.temp_dir))
    except UserError:
        return config.cluster.temp_dir or ""


def _names(schema: pa.Schema) -> str:
    return ", ".join(schema.names)
