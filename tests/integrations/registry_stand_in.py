"""A registry with the manners of BasicSR's, which cannot be imported beside a present torchvision."""

from __future__ import annotations

from copy import deepcopy


class Registry:
    """Names to classes: `register` takes a class, directly or as a decorator, and refuses a name that is taken."""

    def __init__(self):
        self.classes = {}

    def register(self, obj=None, suffix=None):
        if obj is None:
            return lambda decorated: (self.register(decorated, suffix), decorated)[1]
        name = obj.__name__ if suffix is None else f"{obj.__name__}_{suffix}"
        assert name not in self.classes, f"An object named '{name}' was already registered"
        self.classes[name] = obj
        return None

    def get(self, name, suffix="basicsr"):
        found = self.classes.get(name) or self.classes.get(f"{name}_{suffix}")
        if found is None:
            raise KeyError(f"No object named '{name}' found")
        return found

    def __contains__(self, name):
        return name in self.classes


def build_from(registry):
    """Building as BasicSR does it: everything but the type is an argument."""

    def build(options):
        options = deepcopy(options)
        return registry.get(options.pop("type"))(**options)

    return build
