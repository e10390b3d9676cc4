"""A screening run: job, Ray session, graph, loop, progress. The one room that imports Ray."""

from s2sw.pipeline.run.ray_environment import prepare_environment

prepare_environment()  # every module of this room that imports Ray comes after this
