"""Names of the files of an output."""

import itertools

from s2sw.schemas.layout import part_name, partition_mark, writer_leases, writer_mark

RUN_ID = "20260701T230000-aaaaaa"


def test_what_names_of_a_partition_begin_with_is_its_own() -> None:
    """Parts and leases are found by it, also with more partitions than three digits count."""
    numbers = (0, 1, 10, 99, 100, 101, 255, 999, 1000, 1001, 10_000)
    for one, other in itertools.permutations(numbers, 2):
        for term in (1, 12, 1000):
            assert not part_name(RUN_ID, 0, writer_mark(one, term)).startswith(
                f"{RUN_ID}-{partition_mark(other)}"
            )
        assert not f"{writer_leases(one)}000000".startswith(writer_leases(other))
        assert part_name(RUN_ID, 0, writer_mark(one, 2)).startswith(f"{RUN_ID}-{partition_mark(one)}")
