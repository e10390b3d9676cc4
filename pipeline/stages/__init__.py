"""The stages of the graph, and what travels between them."""
