"""Which pictures of a bank are the most typical of their group, and which the least."""

from s2sw.model.rarity.combination import evidence_of
from s2sw.pipeline.profile.banks import GroupBank
from s2sw.pipeline.profile.building import JUDGED
from s2sw.pipeline.profile.ranking import combination_from, own_row
from s2sw.schemas.profile import GroupRecord


def by_rarity(group: GroupRecord, kept: GroupBank) -> list[tuple[float, int]]:
    """Return how rare the first JUDGED pictures of a bank are beside others, and their rows, lowest first.

    Rarity is in deviations of the bank's pictures, as the column ``rarity_score``.
    """
    usual, found = combination_from(group).usual, []
    for row in range(min(JUDGED, len(kept.owners))):
        beside = own_row(kept, row)
        if beside is not None:
            evidence = evidence_of(usual, kept.scores[row], kept.tokens[row], beside)
            found.append((float(evidence.rarity), row))
    return sorted(found)
