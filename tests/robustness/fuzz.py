"""Fuzz campaign: mutated files through the decoders, in processes that may die.

``python -m tests.robustness.fuzz --inputs 100000`` prints how every input ended. Input ``i`` of a seed number
is always the same bytes, so a finding can be had again with ``--first i --inputs 1``.
"""

import argparse
import collections
import json
import random
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from s2sw.connectors.archives.members import is_container, members
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError
from tests.robustness.fuzz_mutations import mutate
from tests.robustness.fuzz_seeds import seeds
from tests.support.memory import peak_mib

ADDRESS_SPACE = 6 << 30
HANG_SECONDS = 10.0


@dataclass
class Findings:
    """How the inputs of a campaign ended; the lists hold numbers of inputs."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: list[int] = field(default_factory=list)
    hung: list[int] = field(default_factory=list)
    escaped: list[int] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    peak_mib: int = 0

    @property
    def inputs(self) -> int:
        """How many inputs ended in an outcome."""
        return sum(self.outcomes.values())


def outcome(data: bytes, settings: DecodeSettings) -> str:
    """Return the terminal status of one input: ``screened``, a reason, or ``escaped: ...`` for a bug."""
    try:
        if is_container(data):
            for member in members(data, settings):
                if member.reason is None and member.data:
                    _show(member.data, settings)
            return "screened"
        return _show(data, settings)
    except ScreeningError as refusal:
        return refusal.reason.value
    except BaseException as error:  # noqa: BLE001 - whatever else leaves a decoder is what we look for
        return f"escaped: {type(error).__name__}"


def _show(data: bytes, settings: DecodeSettings) -> str:
    try:
        for picture in decode(data, settings)[1]:
            if picture.pixels.dtype != "uint8" or picture.pixels.ndim not in (2, 3):
                return "escaped: bad slice"
    except ScreeningError as refusal:
        return refusal.reason.value
    return "screened"


def say(line: str) -> None:
    """Write a line to whoever follows."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def work(first: int, last: int, seed: int, kinds: str) -> None:
    """Decode inputs ``first`` to ``last - 1``; write a line before and one after each.

    kinds: those of which seeds are taken, with commas between them; "" for all.
    """
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    settings = DecodeSettings(derived_objects=True, ct_windows=True)
    stock = [seed for seed in seeds() if not kinds or seed[0] in kinds.split(",")]
    for number in range(first, last):
        dice = random.Random(f"{seed}-{number}")
        kind, original = dice.choice(stock)
        data = mutate(kind, original, stock, dice)
        say(json.dumps(["start", number, kind]))
        started = time.monotonic()
        ended = outcome(data, settings)
        say(json.dumps(["end", number, ended, time.monotonic() - started, peak_mib()]))


def campaign(
    inputs: int, seed: int = 1, first: int = 0, hang_seconds: float = HANG_SECONDS, kinds: str = ""
) -> Findings:
    """Run inputs ``first`` to ``first + inputs - 1``; a process that dies or hangs is replaced."""
    found, current, last = Findings(), first, first + inputs
    while current < last:
        command = [
            sys.executable,
            "-m",
            "tests.robustness.fuzz",
            "--work",
            str(current),
            str(last),
            str(seed),
            kinds,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            current = _follow(process, found, current, hang_seconds)
            process.kill()
    return found


def _follow(process: subprocess.Popen[bytes], found: Findings, current: int, hang_seconds: float) -> int:
    """Record the lines of one worker; return the number of the input to go on with."""
    busy = False
    for line in _lines(process, hang_seconds):
        if line is None:
            (found.hung if busy else found.lost).append(current)
            return current + 1
        event = json.loads(line)
        if event[0] == "start":
            busy, current = True, event[1]
            found.kinds[event[2]] += 1
            continue
        _, number, ended, seconds, peak = event
        busy, current = False, number + 1
        found.outcomes[ended] += 1
        found.peak_mib = max(found.peak_mib, peak)
        found.slowest = max(found.slowest, (seconds, number))
        if ended.startswith("escaped"):
            found.escaped.append(number)
    if busy or process.wait() != 0:
        found.lost.append(current)
        return current + 1
    return current


def _lines(process: subprocess.Popen[bytes], hang_seconds: float) -> Iterator[bytes | None]:
    """Yield the worker's lines; None if the next does not come in time (its start may take longer)."""
    assert process.stdout is not None
    patience = 60.0
    while True:
        ready, _, _ = select.select([process.stdout], [], [], patience)
        if not ready:
            yield None
            return
        line = process.stdout.readline()
        if not line:
            return
        yield line
        patience = hang_seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--kinds", default="", help="kinds of seeds, such as tiff,jxl,avif,pnm,gif; all if none"
    )
    parser.add_argument("--work", nargs=4, metavar=("FIRST", "LAST", "SEED", "KINDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        first, last, seed, kinds = options.work
        work(int(first), int(last), int(seed), kinds)
        return 0
    started = time.monotonic()
    found = campaign(options.inputs, options.seed, options.first, kinds=options.kinds)
    say(f"{found.inputs} of {options.inputs} inputs ended, in {time.monotonic() - started:.0f} s")
    say(f"kinds: {dict(found.kinds.most_common())}")
    say(f"outcomes: {dict(found.outcomes.most_common())}")
    say(f"processes lost: {len(found.lost)} {found.lost[:20]}")
    say(f"hangs over {HANG_SECONDS:g} s: {len(found.hung)} {found.hung[:20]}")
    say(f"escaped exceptions: {len(found.escaped)} {found.escaped[:20]}")
    say(f"slowest: {found.slowest[0]:.2f} s (input {found.slowest[1]}); peak RSS {found.peak_mib} MiB")
    return 1 if found.lost or found.hung or found.escaped or found.inputs != options.inputs else 0


if __name__ == "__main__":
    sys.exit(main())
