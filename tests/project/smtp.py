"""A mail server on a loopback port that fails as often as it is told to, by recipient."""

import re
import socketserver
import threading
import time
from collections import defaultdict
from types import TracebackType


class Session(socketserver.StreamRequestHandler):
    """One SMTP conversation."""

    timeout = 10
    server: "MailServer"

    def handle(self) -> None:
        self.say("220 test")
        refused = False
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "RCPT":
                refused = self.server.refuses(re.findall(r"<(.+?)>", line)[0])
                self.say("250 ok")
            elif verb == "DATA" and refused:
                self.say("451 try again later")
            elif verb == "DATA":
                self.say("354 go on")
                self.server.mails.append(self.read_mail())
                self.say("250 kept")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def read_mail(self) -> str:
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(lines).decode()


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps the mails that it accepts, and when it was asked to take each recipient's."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, failures: dict[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.failures = failures
        self.mails: list[str] = []
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    def refuses(self, recipient: str) -> bool:
        """Note that a mail for this recipient came, and return whether it is one of the first, which fail."""
        self.asked[recipient].append(time.monotonic())
        return len(self.asked[recipient]) <= self.failures.get(recipient, 0)

    def __enter__(self) -> "MailServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
