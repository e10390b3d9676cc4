"""The screening run: manifest, Ray Data graph, stages, the one writer, the run's loop."""
