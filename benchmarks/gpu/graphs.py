"""Two ways to keep the host out of the detector: compiled blocks, and the whole pass as one CUDA graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.options import Options
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.towers import visual
from s2sw.model.towers.blocks import Block


@contextmanager
def compiled(detector: S2swClip, options: Options) -> Iterator[None]:
    """Compile what every block does, and the head, once for each shape; all blocks share the code.

    On a CPU the library's capture is rehearsed and nothing compiled.
    """
    how: dict[str, Any] = {"dynamic": False, "backend": "inductor" if options.on_gpu else "eager"}
    both, one, head = visual.two_streams, Block.forward, detector.token_map
    visual.two_streams = torch.compile(both, **how)
    Block.forward = torch.compile(one, **how)  # type: ignore[method-assign]
    detector.token_map = torch.compile(head, **how)  # type: ignore[method-assign]
    try:
        yield
    finally:
        visual.two_streams = both
        Block.forward = one  # type: ignore[method-assign]
        del detector.token_map
        torch.compiler.reset()


class Captured:
    """A pass over pictures of one shape, captured once and replayed. What it returned is overwritten then."""

    def __init__(self, run: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> None:
        self._x = x.clone()
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                run(self._x)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = run(self._x)

    def __call__(self, x: Tensor) -> Any:
        self._x.copy_(x)
        self._graph.replay()
        return self._out
