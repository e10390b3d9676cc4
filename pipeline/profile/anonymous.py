"""A copy of a profile for another site: no ids, and of the groups only what that can use."""

from dataclasses import replace

from s2sw.pipeline.profile.banks import GroupBank, read_bank, write_bank
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.profile.grouping import is_keyed
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import GroupRecord, ProfileRecord


def copy_anonymous(folder: ProfileFolder, to: ProfileFolder, patches: int) -> ProfileRecord:
    """Write a copy that names nobody, and return its record.

    Groups by folder, site or pattern are left out: their names are keyed, another site's key gives others. So
    are labels, and the patterns themselves. patches: of a picture, as the detector has them. Raises
    ProfileError where there is a profile already, or no group is left.
    """
    record = folder.read()
    groups = [group for group in record.groups if not is_keyed(group.name)]
    if not groups:
        raise ProfileError(
            f"profile: {folder.address} has no group by tags; the names of its groups are keyed, and no "
            "other site can use them"
        )
    if to.exists():
        raise ProfileError(f"profile: {to.address} holds one already; name another folder")
    made = (_copied(folder, to, group, patches) for group in groups)
    columns = tuple(column for column in record.settings.columns if column != "site")
    settings = GroupSettings(columns=columns)
    facts = {"key_id": "", "anonymous": True, "settings": settings, "groups": tuple(made)}
    copy = record.model_copy(update=facts).named()
    to.write(copy)
    return copy


def _copied(folder: ProfileFolder, to: ProfileFolder, group: GroupRecord, patches: int) -> GroupRecord:
    file = write_bank(to, _nameless(read_bank(folder, group, patches)))
    facts = {"file": file.name, "sha256": file.sha256, "label": "", "founding": True}
    return group.model_copy(update=facts)


def _nameless(kept: GroupBank) -> GroupBank:
    count = len(kept.owners)
    return replace(kept, owners=("",) * count, cases=("",) * count, slices=(0,) * count, views=(0,) * count)
