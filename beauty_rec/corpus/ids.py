"""Which texts are ids: those that a URL, a log and a terminal take as they are.

An id is a part of `/v1/items/{id}`, in which `/`, `%`, `?`, `#` and blanks can be written. A
segment `.` or `..` cannot: whatever stands between a shop and its server resolves it.

>>> id_fault("SKU/12 #3 50%"), id_fault("a/../b")
(None, 'has "." or ".." between slashes, which no URL can hold')
"""

from pydantic_core import PydanticCustomError

HIDDEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Characters that move the cursor, end the line or turn the direction of writing, for a pattern."""
PLAIN = rf"^[^{HIDDEN}]*[^\s{HIDDEN}][^{HIDDEN}]*$"
"""A pattern: not blank, nothing hidden. It means the same in Rust, Python and JSON Schema."""


def id_fault(text: str) -> str | None:
    """Return why a text without hidden characters is no id; None where it is one."""
    if "." in text and any(part in (".", "..") for part in text.split("/")):
        return 'has "." or ".." between slashes, which no URL can hold'
    return None


def checked_id(text: str) -> str:
    """Return an id as it is; a validator.

    Raises:
        PydanticCustomError: of the type ``id_fault``, with the reason.
    """
    if fault := id_fault(text):
        raise PydanticCustomError("id_fault", "{fault}", {"fault": fault})
    return text
