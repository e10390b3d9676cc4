"""The passes over what is missing after the main one: a process that died took its task's objects with it."""

FEW = 64
COARSE = 16


def sweep_sizes(missing: int, group_size: int) -> list[int]:
    """Return how many objects a task of each sweep has, for a number of missing objects.

    group_size: objects of a task so far. Alone, an object shows whether it is poison; a second time tells
    that from bad luck (a lost node). Of many missing objects most only shared a task with poison: a sweep in
    smaller tasks finds them first.
    """
    return [COARSE, 1, 1] if missing > FEW and group_size > COARSE else [1, 1]
