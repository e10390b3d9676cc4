"""The bytes of one listed object: of a file, of a member of an archive, of the halves of a pair."""
