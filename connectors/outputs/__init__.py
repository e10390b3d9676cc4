"""The folder of results, local or on S3: files that are there whole or not at all."""
