"""Several shops in one server: which data folders, and who may ask each."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from beauty_rec.settings.group import Group, located
from beauty_rec.settings.secrets import fit_for_header

SHORTEST_KEY = 16
SHOP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Of a shop: one segment of a path, whatever a proxy or a client does to it."""


class ShopsSettings(Group):
    """Several shops in one server, below `/v1/shops/{shop}/`; of no effect without `folders`."""

    folders: dict[str, Path] = Field(
        {}, description="data folder of each shop by its name, which is part of its addresses"
    )
    keys: dict[str, SecretStr] = Field(
        {},
        description="API key of a shop, in place of `serve.api_key`; 16 characters or more",
    )

    @field_validator("folders")
    @classmethod
    def _apart(cls, folders: dict[str, Path]) -> dict[str, Path]:
        for name in folders:
            if not SHOP_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a shop: small letters, digits, - and _, 63 at most"
                )
        found = {name: located(folder) for name, folder in folders.items()}
        by_folder: dict[Path, str] = {}
        for name, folder in found.items():
            other = by_folder.setdefault(folder.resolve(), name)
            if other != name:
                raise ValueError(f"{other} and {name} are the same folder; each has its own")
        return found

    @field_validator("keys", mode="before")
    @classmethod
    def _sent(cls, keys: object) -> object:
        if not isinstance(keys, dict):
            return keys
        return {name: fit_for_header(key) for name, key in keys.items()}

    @field_validator("keys")
    @classmethod
    def _long(cls, keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, key in keys.items():
            if len(key.get_secret_value()) < SHORTEST_KEY:
                raise ValueError(f"the key of {name} has fewer than {SHORTEST_KEY} characters")
        return keys

    @model_validator(mode="after")
    def _of_shops(self) -> "ShopsSettings":
        if unknown := sorted(self.keys.keys() - self.folders.keys()):
            known = ", ".join(self.folders) or "none"
            raise ValueError(f"keys of no shop: {', '.join(unknown)}; the shops: {known}")
        return self
