"""Which class name an object is judged by, for detectors whose prompts name what the pictures show."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from s2sw.schemas.config import ClassSettings


@dataclass(frozen=True)
class ClassRule:
    """The configured rule over the class names of a bundle."""

    settings: ClassSettings
    known: tuple[str, ...]

    def class_of(self, address: str) -> str | None:
        """Return the class name of the object at this address; None where no rule gives one.

        The first pattern that fits decides, then the nearest folder named like a class, then the one name.
        """
        for pattern, name in self.settings.rules.items():
            if fnmatchcase(address, pattern):
                return name
        if self.settings.folders:
            for folder in reversed(address.split("/")[:-1]):
                if folder in self.known:
                    return folder
        return self.settings.name


def class_rule(settings: ClassSettings, known: tuple[str, ...], bundle: str) -> ClassRule | None:
    """Return the rule for a bundle with these class names; None for one that has none.

    A bundle with one class name needs no settings. Raises ValueError, with the key and what to change.
    """
    if not known:
        if settings != ClassSettings():
            raise ValueError(f"classes: bundle {bundle} asks for no class names; leave classes out")
        return None
    listed = ", ".join(known)
    for key, name in [
        *((f"classes.rules: {pattern}", n) for pattern, n in settings.rules.items()),
        ("classes.name", settings.name),
    ]:
        if name is not None and name not in known:
            raise ValueError(f"{key}: {name!r} is no class name of bundle {bundle}; it has {listed}")
    if settings == ClassSettings():
        if len(known) > 1:
            raise ValueError(
                f"classes: bundle {bundle} has the class names {listed}; say which object is of which by "
                "classes.name, classes.folders or classes.rules"
            )
        return ClassRule(ClassSettings(name=known[0]), known)
    return ClassRule(settings, known)
