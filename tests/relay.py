"""A TCP port in front of a server, which can fall silent: it goes on accepting, and passes nothing on."""

import contextlib
import socket
import threading


class Relay:
    """Passes bytes between its own port and a server's. What comes while it is mute is passed on afterwards."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._speaking = threading.Event()
        self._speaking.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def mute(self) -> None:
        """Fall silent."""
        self._speaking.clear()

    def speak(self) -> None:
        """Pass on what was held back, and whatever comes."""
        self._speaking.set()

    def close(self) -> None:
        """End every connection and listen no more."""
        self._speaking.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        self._open.append(client)
        self._speaking.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        self._open.append(server)
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._speaking.wait()
                sink.sendall(data)
        self._speaking.wait()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
