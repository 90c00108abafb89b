"""Encryption with age: the one place that knows pyrage. What it writes, the command-line tool ``age -d`` reads."""

import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .errors import BadRecipient, EncryptionMissing


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
