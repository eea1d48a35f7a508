"""`ssul ui`: MLflow's page."""

import socket
import sys
from contextlib import closing
from typing import Annotated

import typer

from ssul import environment
from ssul.errors import UserError
from ssul.tracking.store import SERVER_ENVIRONMENT, page_address, prepare_database, server_uri, store_uri

_FIRST_PORT, _PORTS = 5000, 100


def ui(
    port: Annotated[int | None, typer.Option(help="Of the server; by default the first free one from 5000 on.")] = None,
) -> None:
    """Show all runs in MLflow's page: prints the address of the table of runs and serves it until Ctrl-C."""
    if (server := server_uri()) is not None:
        print(f"the runs are on a server: {server}")
        return
    prepare_database()
    chosen = port or _free_port()
    print(
        f"the table of runs: {page_address(f'http://127.0.0.1:{chosen}')}\n(in a few seconds; Ctrl-C ends it)",
        flush=True,
    )
    environment.set_defaults(SERVER_ENVIRONMENT)
    # one worker, because each imports mlflow anew
    command = ["-m", "mlflow", "ui", "--backend-store-uri", store_uri(), "--port", str(chosen), "--workers", "1"]
    environment.become([sys.executable, *command])


def _free_port() -> int:
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        with closing(socket.socket()) as one:
            if one.connect_ex(("127.0.0.1", port)):  # nobody answers
                return port
    raise UserError(f"no port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} is free: choose one with --port")
