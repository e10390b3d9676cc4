"""What a file is and whether it may be decoded, told from its header before a decoder allocates."""
