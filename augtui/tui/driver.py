"""Keys from the terminal: an Escape that stands alone is one as soon as nothing follows it."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder
from contextlib import suppress

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

IDLE_S = 0.1
"""How often the end is looked for while no key comes, as in Textual."""
_ESCAPE = "\x1b"


class AttentiveDriver(LinuxDriver):
    """Textual's driver, whose parser is asked when its wait is over; Textual asks it every 100 ms."""

    def run_input_thread(self) -> None:
        """Read keys and hand them on until the app ends."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")().decode
        selector = selectors.SelectSelector()
        selector.register(self.fileno, selectors.EVENT_READ)

        def take(timeout_s: float, *, final: bool = False) -> bool:
            """Handle what comes within a time; say whether it may be the beginning of more."""
            text = ""
            if selector.select(timeout_s):
                text = decode(os.read(self.fileno, 4096), final=final)
                for message in parser.feed(text) if text else ():
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
            return text.endswith(_ESCAPE)

        try:
            awaits = False
            while not self.exit_event.is_set():
                awaits = take(constants.ESCAPE_DELAY if awaits else IDLE_S)
            selector.unregister(self.fileno)
            take(0.0, final=True)
        finally:
            selector.close()
            with suppress(EOFError, ParseError):
                for _ in parser.feed(""):
                    pass
