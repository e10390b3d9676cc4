"""What a run lists."""

import itertools
from collections.abc import Iterator

from connectors.reading.archives import expand_archives
from connectors.storage.objects import list_objects
from connectors.storage.stored import StoredObject
from schemas.config import ScreenConfig


def listing(config: ScreenConfig) -> Iterator[StoredObject]:
    """List the source, archives by their members, up to the limit, without the run's own output."""
    found = list_objects(config.source, config.storage, skip=config.output)
    return itertools.islice(expand_archives(found, config.storage, config.decode), config.limit)
