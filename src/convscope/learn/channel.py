"""How the process that runs a learner's file says what happens, and what the file prints."""

import io
import json
import os
import threading

MOST_LINES = 50
"""How much of what a function prints is passed on, for a loop may print without end."""
MOST_LETTERS = 10_000
"""Likewise; and of the text of an error a tenth."""


class Channel:
    """Where events go; what else would write to the standard output goes to the standard error."""

    def __init__(self) -> None:
        """Take the standard output for itself."""
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def say(self, event: str, **facts: object) -> None:
        """Tell the process that waits for it."""
        with self._lock:
            print(json.dumps({"event": event} | facts), file=self._file, flush=True)


class Prints(io.StringIO):
    """What the learner's code prints, line by line."""

    def __init__(self, channel: Channel) -> None:
        """Events go to `channel`."""
        super().__init__()
        self._channel = channel
        self.begin()

    def begin(self) -> None:
        """The next function may print as much again."""
        self._line, self._lines, self._letters = "", 0, 0

    def write(self, text: str, /) -> int:
        """Pass on whole lines."""
        if self._lines <= MOST_LINES:
            *lines, self._line = (self._line + text)[: MOST_LETTERS + 1].split("\n")
            for line in lines:
                self._pass_on(line)
        return len(text)

    def end(self) -> None:
        """Pass on what does not end with a line."""
        if self._line and self._lines <= MOST_LINES:
            self._pass_on(self._line)
        self._line = ""

    def _pass_on(self, line: str) -> None:
        self._lines += 1
        self._letters += len(line)
        if self._letters > MOST_LETTERS:
            self._lines = max(self._lines, MOST_LINES + 1)
        if self._lines <= MOST_LINES:
            self._channel.say("print", text=line)
        elif self._lines == MOST_LINES + 1:
            self._channel.say("print", text="... and more, which is not shown")
