"""The name of a person: a UUID of the space and of the person's oldest identifier."""

from collections.abc import Callable
from hashlib import sha1
from uuid import NAMESPACE_URL, uuid5


def namer(space: str) -> Callable[[str], str]:
    """Return the function from an identifier to the OneID it gives in `space`.

    It is `uuid5(uuid5(NAMESPACE_URL, "kith:" + space), kind + ":" + value)` of RFC 9562, section 5.5, in a third of
    the time of the standard library, which builds a UUID object.
    """
    seed = sha1(uuid5(NAMESPACE_URL, "kith:" + space).bytes, usedforsecurity=False)

    def name(ident: str) -> str:
        digest = seed.copy()
        digest.update(ident.encode())
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

    return name
