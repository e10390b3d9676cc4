"""A screening run: job, Ray session, graph, loop, progress."""
