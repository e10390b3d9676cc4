"""What turns features into maps and scores: similarity, fusion, wavelets, memories."""
