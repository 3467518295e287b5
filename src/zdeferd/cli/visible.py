"""Makes bytes of a program safe to show on a terminal.

A job's output may hold control characters that rename the window, move the cursor or have the
terminal answer as if somebody typed, and invisible ones that reorder text. Here each becomes a
mark that can be read: `^[` for escape, `\\u202e` for a code point, `\\xff` for a byte that is no
UTF-8. Newlines and tabs stay, a carriage return before a newline goes. Pure text; `Visible` keeps
only what a block ended in the middle of.
"""

import codecs
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, and needed by scripts and emoji; they move nothing."""
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class _Marks(dict[int, str]):
    """The mark of each code point, worked out when it comes first."""

    def __missing__(self, point: int) -> str:
        self[point] = mark(chr(point))
        return self[point]


def mark(character: str) -> str:
    """Return the character itself, or the mark for one that a terminal does not show."""
    point = ord(character)
    if unicodedata.category(character) not in _HIDDEN or character in f"\n\t{_JOINERS}":
        return character
    if point < 0x20 or point == 0x7F:
        return f"^{chr(point ^ 0x40)}"
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{point - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class Visible:
    """Turns blocks of bytes into text, in order."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._marks = _Marks()
        self._held = ""

    def text(self, block: bytes, final: bool = False) -> str:
        """Return what can be shown so far; all of it where the block is the last one."""
        text = self._held + self._decoder.decode(block, final)
        # The newline that makes it a line's end may be in the next block.
        self._held = "\r" if text.endswith("\r") and not final else ""
        text = text.removesuffix("\r") if self._held else text
        return text.replace("\r\n", "\n").translate(self._marks)
