"""Codecs and datasets that other installed packages offer through entry points.

Decides how an entry point becomes a call, and that a broken package harms nobody: it is told when its own name is
asked for.  What the call must return is known to those who make it: group ``lhic.codecs`` to
`benchmarks.codecs.registry`, group ``lhic.datasets`` to `lhic.data.datasets`, group ``lhic.explore`` to
`lhic.explore.coding`.

Source: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata

from lhic.errors import BackendError, LhicError, UsageError, one_line


@dataclass(frozen=True)
class Extension:
    """A name that installed packages offer; none of them is imported yet.

    Attributes
    ----------
    group, name : of the entry point
    offers : (package with version, entry point) of every package that offers the name
    """

    group: str
    name: str
    offers: tuple[tuple[str, metadata.EntryPoint], ...]

    def is_there(self) -> bool:
        """Whether the package that the object is in can be found: a checkout may offer what its wheel leaves out."""
        return all(importlib.util.find_spec(point.module.partition(".")[0]) for _, point in self.offers)

    def call(self, *arguments) -> object:
        """Import what the entry point names and call it.

        Raises
        ------
        UsageError
            Several packages offer the name.
        BackendError
            The package does not import, lacks the object, or the object raised something.
        LhicError
            What the object raised, if it is one of lhic's errors.
        """
        if len(self.offers) > 1:
            packages = ", ".join(package for package, _ in self.offers)
            raise UsageError(f"{self.group}: {self.name}: expected one package to offer it, found {packages}")
        ((package, entry_point),) = self.offers
        try:
            return entry_point.load()(*arguments)
        except LhicError:
            raise
        except Exception as error:  # other people's code may raise anything
            expected = f"{entry_point.value} of {package} to work"
            raise BackendError(f"{self.group}: {self.name}: expected {expected}, found {one_line(error)}") from error


def find(group: str) -> dict[str, Extension]:
    """Name -> extension, for all installed packages; packages whose metadata cannot be read are passed over."""
    offers: dict[str, dict[str, tuple]] = {}
    for distribution in metadata.distributions():
        try:
            for point in distribution.entry_points.select(group=group):
                # Of two copies of a package, the first on the path is the one that Python imports.
                package = f"{distribution.name} {distribution.version}"
                offers.setdefault(point.name, {}).setdefault(distribution.name, (package, point))
        except Exception:  # `metadata.entry_points` would raise it for every group of every package
            continue
    return {name: Extension(group, name, tuple(found.values())) for name, found in sorted(offers.items())}
