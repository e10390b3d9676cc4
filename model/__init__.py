"""S2SWCLIP and its parts. Knows no Ray and no files of images."""
