"""Relay TCP connections over named links that can be cut: python -m tools.failover.links NAME:LISTEN:TARGET...

Standard input has the commands ``cut NAME...`` and ``mend NAME...``; each is answered by one line. A cut link holds all
bytes back and answers no connection, like an unplugged cable: neither end sees an error. A mended link goes on, as TCP
does by its retransmissions. The program ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

_CHUNK = 65_536


class Link:
    def __init__(self, name: str, listen: int, target: int) -> None:
        self.name, self.listen, self.target = name, listen, target
        self.whole = asyncio.Event()
        self.whole.set()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", self.listen)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.whole.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()  # a reset, as from a host that runs without the server
            return
        ends = [self._relay(reader, far_writer), self._relay(far_reader, writer)]
        await asyncio.gather(*ends)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self.whole.wait()
                writer.write(data)
                await writer.drain()
        await self.whole.wait()
        with contextlib.suppress(OSError):
            writer.close()


async def main(arguments: list[str]) -> None:
    """Serve the links, and obey the commands."""
    links = [Link(name, int(listen), int(target)) for name, listen, target in (each.split(":") for each in arguments)]
    for link in links:
        await link.serve()
    reply("ready")
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        command, names = line[0], set(line[1:])
        for link in links:
            if link.name in names:
                link.whole.clear() if command == "cut" else link.whole.set()
        reply("done")
    os._exit(0)  # at once, without a word from each open connection


def reply(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
