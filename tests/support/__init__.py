"""What tests and benchmarks share: doubles, writers of files, servers, the command line."""
