"""Templates of self-contained HTML pages: everything from data is escaped, an undefined name is an error."""

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@functools.cache
def template(name: str) -> Template:
    """Return the template of this name in ``pipeline/templates``."""
    environment = Environment(
        loader=PackageLoader("pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.get_template(name)
