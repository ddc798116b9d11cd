"""What the README, docs/ and --help tell a reader to type: commands of blocks, of examples, and within sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("app", "make", "docker", "kubectl", "curl", "export", "eval", "sudo", "zcat", "faust", ".venv/bin/python")
COMMANDS = ("sh", "bash", "shell")  # the languages of blocks that hold commands alone
_BLOCK = re.compile(r"^```([\w-]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`((?:app|faust -A app|make) [^`]+)`(?!`)")
_EXAMPLES = re.compile(r"^( +)Example:\n((?:\1  .*\n)+)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")


@dataclass(frozen=True)
class Command:
    """One command line. `words`: without its comment, and without the variables that are set before it.

    `exports`: the lines before it in its block that set variables.
    """

    page: str
    line: str
    words: tuple[str, ...]
    exports: tuple[str, ...] = ()

    @classmethod
    def of(cls, page: str, line: str, exports: Iterable[str] = ()) -> Command:
        """A line of a page."""
        words = shlex.split(line, comments=True)
        first = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
        return cls(page, line, tuple(words[first:]), tuple(exports))

    @property
    def program(self) -> str:
        """Empty for a line that only sets variables."""
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def commands() -> list[Command]:
    """All of them: each line of a block of commands, and what follows `$ ` in another block."""
    found = []
    for page in PAGES:
        for language, text in blocks(page):
            lines = _lines(text)
            if language not in COMMANDS:
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            exports: list[str] = []
            for line in lines:
                found.append(Command.of(page.name, line, exports))
                if found[-1].program == "export":
                    exports.append(line)
    return found


def _lines(text: str) -> list[str]:
    lines = (line.split("  #")[0].strip() for line in re.sub(r"\\+\n *", "", text).splitlines())
    return [line for line in lines if line]


def examples() -> list[Command]:
    """The examples of --help; what stands behind two spaces explains one."""
    found = []
    for module in sorted((ROOT / "app" / "commands").glob("*.py")):
        for _, text in _EXAMPLES.findall(module.read_text(encoding="utf-8")):
            found += [Command.of(module.stem, line.split("  ")[0]) for line in _lines(text)]
    return found


def mentions() -> list[Command]:
    """The commands in sentences and tables, which may have words in place of arguments, as in `app replay FILE`."""
    found = []
    for page in PAGES:
        prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
        found += [Command(page.name, text, tuple(text.split())) for text in _SPAN.findall(prose)]
    return found
