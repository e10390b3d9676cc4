"""What a run lists."""

import itertools
from collections.abc import Iterator

from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.config import ScreenConfig


def listing(config: ScreenConfig) -> Iterator[StoredObject]:
    """List the source, archives by their members, up to the limit, without the run's own output."""
    found = list_objects(config.source, config.storage, skip=config.output)
    return itertools.islice(expand_archives(found, config.storage, config.decode), config.limit)
