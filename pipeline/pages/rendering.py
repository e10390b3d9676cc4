"""Templates of HTML pages: everything from data is escaped, an undefined name is an error."""

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@functools.cache
def environment(package: str) -> Environment:
    """Return what the templates in a package's folder ``templates`` are read with."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda value: f"{value:,}"
    return made


def template(name: str) -> Template:
    """Return the template of this name in ``pipeline/pages/templates``, for a self-contained page."""
    return environment(__package__).get_template(name)
