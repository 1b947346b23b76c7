"""Object IDs and tokens.

https://documentation.dnanexus.com/developer/api/entity-ids
"""

import re
import secrets

ALPHABET = "0123456789BFGJKPQVXYZbfgjkpqvxyz"
ID_LENGTH = 24

_ID = re.compile(r"([a-z]+)-[0-9A-Za-z]{24}")


def new_id(class_: str) -> str:
    """Returns a new ID of a class, such as `file-` and 24 random characters."""
    return f"{class_}-" + "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def class_of(text: object) -> str | None:
    """Returns the class of an ID; None if the text is not an ID."""
    match = _ID.fullmatch(text) if isinstance(text, str) else None
    return match[1] if match else None


def new_token() -> str:
    """Returns a secret: an access token, or the unguessable part of a URL."""
    return secrets.token_urlsafe(24)
