"""Worker processes that fill the ring while the training loop reads it."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from s2sw.model.embedded_training.pictures import GRID, QUICK
from s2sw.model.embedded_training.recipe import Recipe
from s2sw.model.embedded_training.ring import BLOCK, PATIENCE, Plan, Ring, Worker
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.weights.shipped import frozen_stem


@contextmanager
def filled(
    folder: Path, recipe: Recipe, stem: Path, features: int, workers: int, step: int
) -> Iterator[tuple[Ring, Callable[[int], None]]]:
    """Run the workers from a step on; yield the ring, and a function that waits for a number of pictures.

    stem: its file. features: numbers that it gives of a patch. Waiting also lets the
    workers go on, ``ahead`` pictures further.
    """
    context = multiprocessing.get_context("spawn")
    first = recipe.ready(step - 1) // BLOCK if step else 0
    done = context.Array("q", [first] * workers)
    limit = context.Value("q", 0)
    make_ring = partial(Ring, folder, recipe.slots, GRID * GRID, features)
    make_stem = partial(frozen_stem, stem, PICTURE, QUICK)
    plan = Plan(recipe.seed, recipe.pictures, recipe.ramp, recipe.photographs)
    processes: list[BaseProcess] = []
    for index in range(workers):
        worker = Worker(plan, index, workers, make_ring, make_stem)
        processes.append(context.Process(target=worker.work, args=(done, limit, first), daemon=True))
        processes[-1].start()

    def wait_for(pictures: int) -> None:
        limit.value = min(pictures + recipe.ahead, recipe.pictures)
        while min(done[:]) * BLOCK < pictures:
            _wait_a_little(processes)

    try:
        yield make_ring(), wait_for
    finally:
        limit.value = -1
        for process in processes:
            process.join()


def _wait_a_little(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(PATIENCE / len(processes))
        if process.exitcode:
            raise BundleError(
                f"a worker process ended with exit code {process.exitcode}; give the same command again"
            )
