"""The explorer as a page of this machine, for its users alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import panel as pn
from bokeh.server.server import Server

from lhic.errors import UsageError
from lhic.explore.app import Explorer
from lhic.explore.coding import Codec, Results, all_codecs
from lhic.explore.cubes import CubeSource
from lhic.explore.worker import Worker

ADDRESS = "127.0.0.1"


def start(
    sources: Sequence[CubeSource],
    codecs: Mapping[str, Callable[[], Codec]] | None = None,
    port: int = 0,
    crop: int = 0,
) -> tuple[Server, str]:
    """Have a server ready; its ``io_loop.start()`` serves, until interrupted.

    Each window of a browser has choices of its own; what codecs found is shared.

    port : 0 takes a free one

    Returns
    -------
    Server, address of the page

    Raises
    ------
    UsageError
        The port is taken, or there are no such codecs.
    """
    pn.extension()
    results, worker = Results(), Worker()
    codecs = all_codecs() if codecs is None else codecs

    def page():
        return Explorer(sources, codecs, crop=crop, results=results, worker=worker).panel

    try:
        server = pn.serve(
            {"/": page}, port=port, address=ADDRESS, show=False, start=False, verbose=False, title="lhic explore"
        )
    except OSError as error:
        raise UsageError(f"--port {port}: expected a free port, found {error.strerror or error}") from error
    return server, f"http://localhost:{server.port}"
