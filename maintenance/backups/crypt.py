"""Encryption with age: the one place that knows pyrage. What it writes, the command-line tool ``age -d`` reads."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from .errors import BadRecipient, EncryptionMissing, IdentityUnusable


class Readable(Protocol):
    """Gives at most ``size`` bytes, none at its end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""


class Writable(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Take all of them."""

    def flush(self) -> None:
        """Pass on what was taken."""


Encrypt = Callable[[Readable, Writable], None]
_NO_KEY_FITS: Final = "No matching keys found"


def encryption(recipients: Sequence[str]) -> Encrypt:
    """Return what encrypts a stream to each of the public keys ``recipients``, in constant memory.

    Raises EncryptionMissing and BadRecipient, which show no more than public keys.
    """
    try:
        import pyrage
    except ImportError as error:
        raise EncryptionMissing() from error
    keys = [_recipient(text) for text in dict.fromkeys(recipients)]

    def encrypt(source: Readable, target: Writable) -> None:
        guarded = _Guarded(source, target)
        try:
            pyrage.encrypt_io(guarded, guarded, keys)
        except pyrage.EncryptError:
            # It tells the text of what our reader or writer raised; they raise the error itself.
            if guarded.error is not None:
                raise guarded.error from None
            raise

    return encrypt


class WrongIdentity(Exception):
    """None of the private keys belongs to a recipient. So it looks, too, when the recipients' lines are damaged."""


class Undecryptable(Exception):
    """The encrypted bytes are damaged or cut short."""


def decryption(identity: Path) -> Encrypt:
    """Return what decrypts a stream with the private keys in an age identity file (x25519 or SSH), in constant memory.

    The target gets bytes before the end is known to be whole. It raises WrongIdentity, Undecryptable, and what source
    and target raise. Raises EncryptionMissing, IdentityUnusable, which show nothing of the keys.
    """
    try:
        import pyrage
    except ImportError as error:
        raise EncryptionMissing() from error
    keys = _identities(identity)

    def decrypt(source: Readable, target: Writable) -> None:
        reader, writer = _Guarded(source, target), _Guarded(source, target)
        try:
            pyrage.decrypt_io(reader, writer, keys)
        except (pyrage.DecryptError, OSError) as error:
            own = reader.error or writer.error
            if own is not None:
                raise own from None
            if _NO_KEY_FITS in str(error):
                raise WrongIdentity() from error
            raise Undecryptable(str(error)) from error

    return decrypt


class _Guarded(io.RawIOBase):
    """A reader and a writer in one that keeps the first error of either."""

    def __init__(self, source: Readable, target: Writable) -> None:
        self._source, self._target = source, target
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        return self._kept(lambda: self._source.read(size))  # type: ignore[no-any-return]

    def write(self, data: Any) -> int:
        return self._kept(lambda: self._target.write(data))  # type: ignore[no-any-return]

    def _kept(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except BaseException as error:
            self.error = error
            raise


def _identities(path: Path) -> list[Any]:
    import pyrage

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityUnusable(path=str(path), reason=getattr(error, "strerror", None) or "it is no text") from error
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if "PRIVATE KEY" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError:
        # The error's own text may quote the key.
        raise IdentityUnusable(path=str(path), reason="it holds something else than age's secret keys") from None
    if not found:
        raise IdentityUnusable(path=str(path), reason="it holds no key")
    return found


def _recipient(text: str) -> Any:
    import pyrage

    module = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return module.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise BadRecipient(recipient=_shown(text), reason=error) from None


def _shown(text: str) -> str:
    """Return ``text``; of a private key, which somebody took for the public one, only its beginning."""
    return f"{text[:15]}…" if "SECRET" in text.upper() or "PRIVATE" in text.upper() else text
