"""Encryption with age (https://age-encryption.org/v1), to public keys. The one home of pyrage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from .errors import DecryptionUnavailable, IdentityUnusable

_NO_KEY_FITS: Final = "No matching keys found"


class WrongIdentity(Exception):
    """None of the private keys belongs to a recipient. So it looks, too, when the recipients' lines are damaged."""


class Undecryptable(Exception):
    """The encrypted bytes are damaged or cut short."""


def identities(path: Path) -> tuple[Any, ...]:
    """Read the private keys in an age identity file. Raises IdentityUnusable, DecryptionUnavailable."""
    try:
        from pyrage import IdentityError, x25519
    except ImportError as error:
        raise DecryptionUnavailable() from error
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        found = tuple(x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise IdentityUnusable(path=str(path), reason=reason) from error
    except IdentityError:
        # The error's text may quote the key.
        raise IdentityUnusable(path=str(path), reason="it holds something else than age's secret keys") from None
    if not found:
        raise IdentityUnusable(path=str(path), reason="it holds no key")
    return found


def decrypt(source: BinaryIO, sink: BinaryIO, keys: tuple[Any, ...]) -> None:
    """Decrypt ``source`` into ``sink``, which gets bytes before the end is known to be whole.

    Raises WrongIdentity, Undecryptable; errors of ``sink`` pass, errors of ``source`` may come as Undecryptable.
    """
    from pyrage import DecryptError, decrypt_io

    try:
        decrypt_io(source, sink, keys)
    except DecryptError as error:
        if _NO_KEY_FITS in str(error):
            raise WrongIdentity() from error
        raise Undecryptable(str(error)) from error
    except OSError as error:
        if error.errno is None:  # pyrage's own: a chunk's tag is wrong, or the last chunk is missing
            raise Undecryptable(str(error)) from error
        raise


class Writer:
    """What pyrage writes to: a function of each piece."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put

    def write(self, piece: bytes) -> int:
        """Pass a piece on."""
        self._put(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""
