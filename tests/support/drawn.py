"""Tells which lines a terminal shows after the bytes that a shell has sent to it.

It knows what zsh sends where no line is longer than the screen: text, carriage returns, new lines,
backspaces, moves of the cursor, and erasing to the end of the line or of the screen.
"""

import re

_PART = re.compile(r"\x1b\[(?P<number>[0-9;?]*)(?P<name>[A-Za-z])|\x1b.|(?P<char>.)", re.DOTALL)


class Drawing:
    """The lines of a terminal, and the place of its cursor."""

    def __init__(self) -> None:
        self.lines, self.row, self.column = [""], 0, 0

    def put(self, char: str) -> None:
        """Draw a character, or move as a control character says."""
        if char == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif char == "\r":
            self.column = 0
        elif char == "\b":
            self.column -= 1
        elif char >= " ":
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1

    def move(self, name: str, number: int) -> None:
        """Move the cursor up, right or left, or erase, as the sequence of that name does."""
        if name == "A":
            self.row = max(self.row - number, 0)
        elif name == "C":
            self.column += number
        elif name == "D":
            self.column = max(self.column - number, 0)
        elif name in "JK":
            self.lines[self.row] = self.lines[self.row][: self.column]
            if name == "J":
                del self.lines[self.row + 1 :]


def drawn(raw: bytes) -> list[str]:
    """Return the lines that are shown, without blanks at their ends."""
    drawing = Drawing()
    for part in _PART.finditer(raw.decode()):
        if part["char"]:
            drawing.put(part["char"])
        elif part["name"]:
            number = part["number"]
            drawing.move(part["name"], int(number) if number.isdigit() and number != "0" else 1)
    return [line.rstrip() for line in drawing.lines]
