"""The process of a local Prefect server. With ``--until-stdin-closes`` it ends when whoever started it does, however
that one ended: even a killed command leaves no server behind."""

from __future__ import annotations

import argparse
import sys
import threading

import uvicorn

SECONDS_FOR_OPEN_CONNECTIONS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--until-stdin-closes", action="store_true")
    arguments = parser.parse_args()
    server = uvicorn.Server(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            host="127.0.0.1",
            port=arguments.port,
            log_level="warning",
            timeout_graceful_shutdown=SECONDS_FOR_OPEN_CONNECTIONS,
        )
    )

    def watch() -> None:
        try:
            sys.stdin.buffer.read()
        finally:  # nobody would be left to end the server
            server.should_exit = True

    if arguments.until_stdin_closes:
        threading.Thread(target=watch, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
