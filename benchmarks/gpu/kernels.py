"""Which kernels the time goes to."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.options import Options

ROUNDS, TOP = 3, 15


def top_kernels(run: Callable[[], object], options: Options) -> dict[str, Any]:
    """Return the kernels with the largest shares of the device's time, and how busy it was meanwhile."""
    run()
    rounds = 1 if options.quick else ROUNDS
    activity = ProfilerActivity.CUDA if options.on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as seen:
        started = time.perf_counter()
        for _ in range(rounds):
            run()
        if options.on_gpu:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    clock = "self_device_time_total" if options.on_gpu else "self_cpu_time_total"
    spent = {event.key: (getattr(event, clock), event.count) for event in seen.key_averages()}
    total = sum(microseconds for microseconds, _ in spent.values())
    largest = sorted(spent.items(), key=lambda entry: -entry[1][0])[:TOP]
    return {
        "busy": total / 1e6 / seconds,
        "kernels": [
            {"name": name[:120], "share": time_ / max(total, 1e-9), "calls": count / rounds}
            for name, (time_, count) in largest
        ],
    }
