"""Training on files of pictures: one visual pass into a cache, then the model's training loop."""
