"""Ways in which an asset's code reaches ``lib/target.py`` of a small package, and does not."""

ASSET = "orchestration/assets/shop.py"
HELPERS = "orchestration/assets/helpers.py"
FORMS = {
    "an import in the body": {ASSET: "def asset():\n    from beauty_rec.lib import target"},
    "an import in a nested function": {
        ASSET: "def asset():\n    def inner():\n        from beauty_rec.lib.target import f"
    },
    "an import at the top": {
        ASSET: "from beauty_rec.lib.target import f\ndef asset():\n    return [f() for _ in ()]"
    },
    "a module under another name": {
        ASSET: "import beauty_rec.lib.target as other\ndef asset():\n    return other.f()"
    },
    "a module by its whole name": {
        ASSET: "import beauty_rec.lib.target\ndef asset():\n    return beauty_rec.lib.target.f()"
    },
    "a package by its name": {
        ASSET: "from beauty_rec import lib\ndef asset():\n    return lib.target.f()"
    },
    "a conditional import": {
        ASSET: "try:\n    from beauty_rec.lib.target import f\nexcept ImportError:\n    f = None\n"
        "def asset():\n    return f()"
    },
    "a constant": {
        ASSET: "from beauty_rec.lib.target import f\nTABLE = f()\ndef asset():\n    return TABLE"
    },
    "a constant that is filled later": {
        ASSET: "from beauty_rec.lib.target import f\nTABLE = []\nTABLE.append(f())\n"
        "def asset():\n    return TABLE"
    },
    "a default argument": {
        ASSET: "from beauty_rec.lib.target import f\ndef helper(g=f): ...\n"
        "def asset():\n    return helper()"
    },
    "a lambda": {
        ASSET: "from beauty_rec.lib.target import f\ndef asset():\n    return lambda: f()"
    },
    "a name that another function's parameter has": {
        ASSET: "from beauty_rec.lib.target import f\ndef asset():\n    inner = lambda f: f\n"
        "    return inner(f)"
    },
    "a decorator of a helper": {
        ASSET: "from beauty_rec.lib.target import f\n@f\ndef helper(): ...\n"
        "def asset():\n    return helper()"
    },
    "a helper of another module, handed on": {
        HELPERS: "from beauty_rec.lib.target import f",
        ASSET: "from beauty_rec.orchestration.assets.helpers import f\n"
        "def asset():\n    return f()",
    },
    "a helper's module by its name": {
        HELPERS: "from beauty_rec.lib.target import f\ndef helper():\n    return f()",
        ASSET: "from beauty_rec.orchestration.assets import helpers\n"
        "def asset():\n    return helpers.helper()",
    },
    "a method of a resource": {
        HELPERS: "class Resource:\n    def load(self):\n"
        "        from beauty_rec.lib.target import f",
        ASSET: "from beauty_rec.orchestration.assets.helpers import Resource\n"
        "def asset(resource: Resource):\n    return resource.load()",
    },
    "a resource in quotes": {
        HELPERS: "class Resource:\n    def load(self):\n"
        "        from beauty_rec.lib.target import f",
        ASSET: "from beauty_rec.orchestration.assets.helpers import Resource\n"
        'def asset(resource: "list[Resource]"):\n    return resource[0].load()',
    },
    "a method of a base class": {
        HELPERS: "class Base:\n    def load(self):\n        from beauty_rec.lib.target import f",
        ASSET: "from beauty_rec.orchestration.assets.helpers import Base\nclass R(Base): ...\n"
        "def asset(resource: R):\n    return resource.load()",
    },
    "a method that Python calls": {
        ASSET: "class R:\n    def __iter__(self):\n        from beauty_rec.lib.target import f\n"
        "def asset():\n    return list(R())"
    },
    "a method that a framework calls": {
        ASSET: "class R:\n    @field_validator('x')\n    def check(self):\n"
        "        from beauty_rec.lib.target import f\ndef asset(resource: R): ..."
    },
    "how artifacts are written": {
        "orchestration/storage/io_managers.py": "class Frames:\n    def write(self):\n"
        "        from beauty_rec.lib.target import f\nLAYOUTS = {'frames': Frames}",
        ASSET: "def asset(): ...",
    },
    "what the library imports": {
        "lib/first.py": "def g():\n    from beauty_rec.lib import (  # (see there)\n"
        "        other,  # :)\n        target,\n    )",
        "lib/other.py": "",
        ASSET: "def asset():\n    from beauty_rec.lib.first import g",
    },
    "what the library imports beside others": {
        "lib/first.py": "import os, beauty_rec.lib.target",
        ASSET: "def asset():\n    import beauty_rec.lib.first",
    },
    "what the library imports over two lines": {
        "lib/first.py": "from beauty_rec.lib import other, \\\n    target",
        "lib/other.py": "",
        ASSET: "def asset():\n    import beauty_rec.lib.first",
    },
    "what the library starts by its name": {
        "lib/first.py": "COMMAND = ['python', '-m', 'beauty_rec.lib.target']",
        ASSET: "def asset():\n    import beauty_rec.lib.first",
    },
    "a package that hands on": {
        "lib/__init__.py": "from beauty_rec.lib.target import f",
        "lib/first.py": "",
        ASSET: "def asset():\n    import beauty_rec.lib.first",
    },
}

NOT_RUN = [
    "def other():\n    from beauty_rec.lib.target import f\ndef asset(): ...",
    # What goes into an asset has its name.
    "def other():\n    from beauty_rec.lib.target import f\ndef asset(other):\n    return other",
    "def other():\n    from beauty_rec.lib.target import f\ndef asset():\n    return 'other'",
    "from beauty_rec.lib.target import f\n@stage(f)\ndef asset(): ...",
    "class R:\n    def load(self):\n        from beauty_rec.lib.target import f\n"
    "def asset(resource: R):\n    return resource.save()",
]
"""Assets that name the target without running it."""
