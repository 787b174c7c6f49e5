"""What must not be shown or kept: passwords and keys, wherever they stand in a text.

:func:`redacted` is the one way out for texts that may hold one: errors, logs, metadata. It knows
the forms that secrets come in, and every secret that the settings of this process were given.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import quote

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from beauty_rec.settings.environment import child_environment

HIDDEN = "***"
HOLDS_SECRET = "holds_secret"
"""The type of a fault whose value is not to be shown."""
SHORTEST = 6
"""A shorter secret is hidden by its form alone: as a word it may stand anywhere."""
DSN_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key",
               "scram_server_key")  # fmt: skip
_KNOWN: set[str] = set()

_NAME = (
    r"(?:[\w-]*(?:password|passwd|secret|api[_-]?key|access[_-]?key(?:[_-]id)?|credentials?)"
    r"|pwd|token|(?:access|auth|session|refresh)[_-]token|sig|x-amz-signature)"
)
_VALUE = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,;&'")}\]]+)"""
_DRAWN = r"[\w-]*?(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16}[\w-]*"
"""What a machine has drawn: a folder hf-models or a bucket sk-shop-prod has no such part."""
_FORMS = [
    (re.compile(r"(://[^\s/:@]*):\S*@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(https?://)[^\s/:@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"(?<![\w.])({_NAME}\s*=\s*){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"""(["']{_NAME}["']\s*:\s*){_VALUE}""", re.IGNORECASE), rf'\1"{HIDDEN}"'),
    (re.compile(rf"(--{_NAME}[ =]){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"([?&]key=)[^\s&'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    # "Basic" is a word of titles and sentences, too.
    (re.compile(r"(authorization\W+basic\s+)[^\s'\",]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"\b(?:sk[-_]|hf_|gh[oprsu]_|github_pat_|xox[abprs]-){_DRAWN}"), HIDDEN),
    (re.compile(r"\bA[KS]IA[0-9A-Z]{12,}\b"), HIDDEN),
]
_NAMES = re.compile(rf"(?:{_NAME}|dsn|webhook_url)", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(r"(?:PASSWO?R?D|KEY(?:_ID)?|SECRET|TOKEN|HEADERS)$", re.IGNORECASE)
_ADDRESS_VARIABLE = re.compile(r"(?:URL|URI|DSN|PROXY)$", re.IGNORECASE)
_PASSWORD_OF_ADDRESS = re.compile(r"//[^:/@]*:([^@]+)@")
"""Of a mistyped address too: a blank in it, or no colon before its slashes."""


def redacted(text: str) -> str:
    """Return a text without its secrets.

    >>> redacted("no route to postgresql://shop:hunter2@db/items")
    'no route to postgresql://shop:***@db/items'
    >>> redacted("missing file reviews.jsonl")
    'missing file reviews.jsonl'
    """
    return redaction()(text)


def redaction() -> Callable[[str], str]:
    """Return what :func:`redacted` does now, for several texts one after the other."""
    of_environment = _of_environment(tuple(child_environment().items()))
    secrets = sorted({*_KNOWN, *of_environment}, key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return _without_forms(text)

    return hide


def holds_secret(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says a secret."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        if redacted(str(found)) != str(found):
            return True
        found = found.__cause__ or found.__context__
    return False


def know(secret: SecretStr | None) -> None:
    """Hide this secret from now on; of a connection string, its passwords too."""
    if secret is None:
        return
    value = secret.get_secret_value()
    for part in (value, *_passwords(value)):
        _KNOWN.update(_forms_of(part))


def fit_for_header(secret: object) -> object:
    """Return a secret that is sent in the head of a request, without blanks around it.

    A file or a copied line ends in a line break often enough.

    Raises:
        ValueError: it holds what no header may; the message does not quote it.
    """
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    if not isinstance(text, str):
        return secret
    text = text.strip()
    if not (text.isascii() and text.isprintable()):
        raise PydanticCustomError(
            HOLDS_SECRET, "holds a line break or a character that is not ASCII; copy it anew"
        )
    return text


def is_secret_name(name: object) -> bool:
    """Whether a setting of this name holds a secret, or was meant to."""
    return _NAMES.fullmatch(str(name)) is not None


def refuse_secret(address: str | None) -> str | None:
    """Return an address (or a command), which is kept and shown, as it is.

    Raises:
        ValueError: it holds a password or a key; the message does not say which.
    """
    if address is not None and (
        _without_forms(address) != address or _PASSWORD_OF_ADDRESS.search(address)
    ):
        raise PydanticCustomError(
            HOLDS_SECRET,
            "holds a password or a key, and would be kept and shown with it; "
            "give it in the environment of every command instead",
        )
    return address


def readable_dsn(dsn: SecretStr | None) -> SecretStr | None:
    """Return a connection string as it is.

    Raises:
        ValueError: it is none; the message does not quote it, since a password may stand anywhere.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict("" if dsn is None else dsn.get_secret_value())
    except ProgrammingError:
        raise ValueError("is no connection string such as postgresql://user@host/name") from None
    return dsn


def without_secrets(dsn: str) -> str:
    """Return a connection string without its passwords."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = {n: str(v) for n, v in conninfo_to_dict(dsn).items() if n not in DSN_SECRETS}
    return make_conninfo("", **parts)


def _without_forms(text: str) -> str:
    for form, shown in _FORMS:
        text = form.sub(shown, text)
    return text


def _forms_of(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as an address or an error may say it."""
    for form in {secret, secret.strip()}:
        if len(form) >= SHORTEST:
            yield from (form, quote(form, safe=""), repr(form)[1:-1], repr(form.encode())[2:-1])


def _passwords(dsn: str) -> Iterator[str]:
    if "=" not in dsn and "://" not in dsn:
        return
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        return
    yield from (str(parts[name]) for name in DSN_SECRETS if parts.get(name))


@lru_cache(maxsize=1)  # every line of a log asks, and variables hardly ever change
def _of_environment(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """Return the secrets of all variables, whosever they are: an error may say any of them."""
    found: list[str] = []
    for name, value in variables:
        if _SECRET_VARIABLE.search(name):
            found.append(value)
        elif _ADDRESS_VARIABLE.search(name):
            found += _PASSWORD_OF_ADDRESS.findall(value)
    return frozenset(form for part in found for form in _forms_of(part))
