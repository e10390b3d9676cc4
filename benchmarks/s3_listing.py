"""How fast a large bucket is listed: python -m benchmarks.s3_listing [--keys 1000000] [--wait 0.1]

A server of its own process makes up the keys and waits before each page, as a distant S3 does. One prefix
that cannot be divided, and as many objects in folders, which are listed by several prefixes at once, and
frozen with keyed ids as by a run. --frozen-only: nothing else.
"""

import argparse
import multiprocessing
import resource
import secrets
import tempfile
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs

from benchmarks.figures import note
from s2sw.connectors.storage.objects import list_objects
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.storage import StorageSettings

PAGE = 1000
ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>524288</Size></Contents>"
)


class Bucket(BaseHTTPRequestHandler):
    """Lists ``flat/N.dcm`` and ``lake/PPP/N.dcm``."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *given: object, keys: int, prefixes: int, wait: float) -> None:
        self.keys, self.prefixes, self.wait = keys, prefixes, wait
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        asked = parse_qs(self.path.partition("?")[2], keep_blank_values=True)
        prefix = asked.get("prefix", [""])[0]
        time.sleep(self.wait)
        if "delimiter" in asked and prefix == "lake/":
            names = (f"lake/{number:03}/" for number in range(self.prefixes))
            found = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names)
            self._answer(found, "")
            return
        start = int(asked.get("continuation-token", ["0"])[0])
        if prefix == "lake/":  # in order, over all folders
            each = self.keys // self.prefixes
            keys = (f"lake/{n // each:03}/{n % each:09}.dcm" for n in range(start, start + PAGE))
            count = each * self.prefixes
        else:
            keys = (f"{prefix}{n:09}.dcm" for n in range(start, start + PAGE))
            count = self.keys if prefix == "flat/" else self.keys // self.prefixes
        shown = list(keys)[: count - start]
        more = str(start + PAGE) if start + PAGE < count else ""
        self._answer("".join(ENTRY.format(key=key) for key in shown), more)

    def _answer(self, entries: str, more: str) -> None:
        token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        body = (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(line: Connection, keys: int, prefixes: int, wait: float) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bucket, keys=keys, prefixes=prefixes, wait=wait))
    line.send(server.server_port)
    server.serve_forever()


def rate(source: str, settings: StorageSettings) -> float:
    started, found = time.monotonic(), 0
    for _ in list_objects(source, settings):
        found += 1
    spent = time.monotonic() - started
    cpu = time.process_time()
    print(
        f"{source}: {found:,} keys in {spent:.1f} s, {found / spent:,.0f} keys/s, {cpu:.1f} CPU s so far",
        flush=True,
    )
    return found / spent


def frozen_rate(source: str, settings: StorageSettings) -> float:
    """Return how many keys a second are listed and written to a manifest."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
        ids = object_ids(secrets.token_bytes(32))
        found = freeze(list_objects(source, settings), ids, Path(folder, "manifest.parquet"))
    spent = time.monotonic() - started
    print(f"{source}: {found:,} keys frozen in {spent:.1f} s, {found / spent:,.0f} keys/s", flush=True)
    return found / spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--prefixes", type=int, default=64)
    parser.add_argument("--wait", type=float, default=0.1, help="seconds before each page")
    parser.add_argument("--frozen-only", action="store_true")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    given = (theirs, options.keys, options.prefixes, options.wait)
    server = multiprocessing.Process(target=serve, args=given, daemon=True)
    server.start()
    settings = StorageSettings(
        endpoint_url=f"http://127.0.0.1:{ours.recv()}", anonymous=True, region="us-east-1"
    )
    frozen = frozen_rate("s3://bucket/lake/", settings)
    peak, of_others = (
        resource.getrusage(of).ru_maxrss // 1024 for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory {peak} MiB, of the largest listing process {of_others} MiB")
    note("listing and freezing a bucket by several prefixes at once", frozen, "keys/s")
    if options.frozen_only:
        return
    flat, divided = (rate(f"s3://bucket/{name}/", settings) for name in ("flat", "lake"))
    print(f"{divided / flat:.1f} x")
    note("listing a bucket by several prefixes at once", divided, "keys/s")
    note("the same against one prefix after another", divided / flat)


if __name__ == "__main__":
    main()
