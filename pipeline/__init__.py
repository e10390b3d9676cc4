"""The screening run and what is done with its results."""
