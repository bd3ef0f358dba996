"""A storage that costs next to nothing: takes what is PUT, gives it to who GETs it, checks nothing.

python -m tests.bench.sink DIRECTORY
"""

import io
import socket
import sys
import threading
from pathlib import Path

PART = 1 << 20


def serve(connection: socket.socket, directory: Path) -> None:
    buffer = memoryview(bytearray(PART))
    with connection, io.BufferedReader(connection.makefile("rb", buffering=0), PART) as source:
        while line := source.readline():
            method, target, _ = line.decode().split()
            size = 0
            while (header := source.readline()) not in (b"\r\n", b""):
                name, _, value = header.decode().partition(":")
                size = int(value) if name.lower() == "content-length" else size
            path = directory / target.split("?")[0].lstrip("/").replace("/", "_")
            if method == "PUT":
                with path.open("wb", buffering=0) as file:
                    while size:
                        count = source.readinto(buffer[: min(size, PART)])
                        file.write(buffer[:count])
                        size -= count
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            else:
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
                connection.sendall(head.encode())
                with path.open("rb") as file:
                    connection.sendfile(file)


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)  # noqa: T201  # told so
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, directory), daemon=True).start()


if __name__ == "__main__":
    main()
