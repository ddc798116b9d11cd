"""Every command that the README, docs/ and --help name exists, with its options; tests/integration runs those that it can."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support.documented import COMMANDS, PAGES, PROGRAMS, ROOT, Command, blocks, commands, examples, mentions
from tests.support.parsed_commands import mistakes

OPERATORS = ("&&", "|", ">", ";", "--")
OF_TESTS = {"BARWHEEL_KAFKA", "BARWHEEL_KAFKA_NODES", "BARWHEEL_CHROMIUM", "BARWHEEL_TEST_DATA", "BARWHEEL_KSQLDB"}
ALL, MENTIONED = commands(), mentions()
PLACEHOLDER = "COMMAND"


def ids(found: list[Command]) -> list[str]:
    return [str(one) for one in found]


def of(found: list[Command], *programs: str) -> list[Command]:
    return [one for one in found if one.program in programs]


def arguments(one: Command) -> list[str]:
    """The words after the program and Faust's `-A app`, up to what the shell does with the output."""
    words = list(one.words[3:] if one.program == "faust" else one.words[1:])
    ends = [words.index(operator) for operator in OPERATORS if operator in words]
    return words[: min(ends, default=len(words))]


def test_every_block_of_commands_says_that_it_is_one() -> None:
    for page in PAGES:
        for language, text in blocks(page):
            found = [line for line in text.splitlines() if line.split(" ")[0] in PROGRAMS]
            assert language in COMMANDS or not found, f"{page.name}: begin the block with ```sh, or the line with $: {found}"


def test_a_command_in_a_block_or_in_a_sentence_exists_with_its_options() -> None:
    typed = [(one, arguments(one)) for one in of([*ALL, *examples()], "app", "faust")]
    # `app COMMAND` is about all of them, and a sentence may name a command without its arguments
    named = [(one, arguments(one)) for one in of(MENTIONED, "app", "faust") if PLACEHOLDER not in one.words]
    lines = [*typed, *((one, words if len(words) > 1 else [*words, "--help"]) for one, words in named)]
    assert len(lines) > 100
    found = mistakes([words for _, words in lines])
    assert [f"{one}: {wrong}" for (one, _), wrong in zip(lines, found, strict=True) if wrong] == []


def test_a_command_an_option_and_a_value_that_do_not_exist_are_found() -> None:
    lines = ("app bar", "app bars --newest 5", "app bars --last x", "app replay FILE --layut NAME", "app worker --port 1")
    assert None not in mistakes([arguments(Command.of("", line)) for line in lines])


@pytest.mark.parametrize("one", of([*ALL, *MENTIONED], "make"), ids=ids(of([*ALL, *MENTIONED], "make")))
def test_a_target_of_make_exists_and_so_do_the_files_that_it_is_given(one: Command) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert one.words[1] in targets
    for path in re.findall(r"\b(?:tests|docs|deploy)/\S+", one.line):
        assert (ROOT / path.rstrip('"')).exists(), path


@pytest.mark.parametrize("one", of(ALL, ".venv/bin/python"), ids=ids(of(ALL, ".venv/bin/python")))
def test_a_module_in_a_block_takes_its_options(one: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    words = arguments(one)
    assert words[0] == "-m"
    if words[1] == "pytest":
        assert all((ROOT / word).exists() for word in words[2:] if not word.startswith("-"))
        return
    monkeypatch.setattr(sys, "argv", [words[1], *words[2:], "--no-such-option"])
    said: list[str] = []

    def refuse(_: object, message: str) -> None:
        said.append(message)
        raise SystemExit(2)

    monkeypatch.setattr("argparse.ArgumentParser.error", refuse)
    with pytest.raises(SystemExit):
        runpy.run_module(words[1], run_name="__main__")
    assert said == ["unrecognized arguments: --no-such-option"] or "--help" in words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_that_a_block_sets_is_a_setting(page: Path) -> None:
    settings = {f"BARWHEEL_{name.upper()}" for name in Settings.model_fields}
    named = {name for _, text in blocks(page) for name in re.findall(r"\bBARWHEEL_[A-Z_]+(?==)", text)}
    assert {name.removesuffix("_FILE") if name not in settings else name for name in named} <= settings | OF_TESTS


def test_the_files_of_this_repository_that_commands_name_are_there() -> None:
    for one in of(ALL, "docker", "kubectl", "sudo", "curl"):
        for path in re.findall(r"\bdeploy/[\w./-]+", one.line):
            assert (ROOT / path).exists(), one
        for profile in re.findall(r"--profile (\S+)", one.line):
            assert f'profiles: ["{profile}"]' in (ROOT / "docker-compose.yml").read_text(), one
