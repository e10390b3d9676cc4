"""The passes over what is missing after the main one: a process that died took its task's objects with it."""

FEW = 64
COARSE = 16


def sweep_sizes(missing: int) -> list[int]:
    """Return how many objects a task of each sweep has, for a number of missing objects.

    Alone, an object shows whether it is poison; a second time tells that from bad luck (a lost node). Of many
    missing objects most only shared a task with poison: a sweep in small tasks finds them first.
    """
    return [1, 1] if missing <= FEW else [COARSE, 1, 1]
