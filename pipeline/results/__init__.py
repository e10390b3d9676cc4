"""Reading results: ``open_results``, ``full_map`` and ``mask``."""

from s2sw.pipeline.results.reading import Results, full_map, mask, open_results

__all__ = ["Results", "full_map", "mask", "open_results"]
