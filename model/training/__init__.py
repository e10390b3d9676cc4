"""Training what a detector learns, with CLIP frozen: prompts, or linear layers. Knows no files of images."""
