"""The peers' own programs and libraries, which are no dependencies of barwheel: fetched once into its cache.

Flink and Kafka Streams need jars, by Maven, and the classes of `java/`, by javac; csp and Quix Streams a virtual environment.
Each place is named by what it is made of, so that a new version has a new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.kafka_node import JAVA, KafkaUnavailableError, fetched, jar_directory, java_program

HERE = Path(__file__).parent
SOURCES = HERE / "java"
LOCK = HERE / "requirements.lock"
PATIENCE = 1_800  # seconds for pip


class NotInstalledError(Exception):
    """A peer cannot run here; the message says why."""


def java(project: str, main: str, *options: str) -> list[str]:
    """The command that runs a Java program on the jars of `java/<project>.pom.xml`."""
    program = java_program()
    if program is None:
        raise NotInstalledError(f"Java {JAVA} or newer is missing")
    jars = jars_of(project)
    if not jars.is_dir() and shutil.which("mvn") is None:
        raise NotInstalledError("mvn, which fetches its jars, is missing")
    try:
        fetched(_pom(project), jars)
    except KafkaUnavailableError as error:
        raise NotInstalledError(_first_line(str(error))) from error
    sources = [file.read_text() for file in sorted(SOURCES.glob("*.java"))]
    classes = jars.with_name(f"{jars.name}-{main}-{_digest(*sources)}")
    _made(classes, lambda scratch: _compile(main, jars, scratch))
    logging = f"-Dlog4j2.configurationFile=file:{SOURCES / 'log4j2.properties'}"
    return [program, *options, logging, "-cp", f"{classes}{os.pathsep}{jars / '*'}", main]


def python(module: str) -> list[str]:
    """The command that runs a program on the peers' virtual environment."""
    directory = environment_directory()
    _made(directory, _install)
    return [str(directory / "bin" / "python"), "-m", f"benchmarks.peers.{module}"]


def environment_directory() -> Path:
    """Where the virtual environment is, once it has been made."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return jar_directory().with_name(f"peers-python{version}-{_digest(LOCK.read_text())}")


def jars_of(project: str) -> Path:
    """Where the jars of a project are, once they have been fetched."""
    return jar_directory().with_name(f"peers-{project}-{_digest(_pom(project))}")


def jar_version(project: str, artifact: str) -> str:
    """The version of an artifact in a pom.xml of ours."""
    return str(re.findall(rf"<artifactId>{artifact}</artifactId><version>([^<]+)</version>", _pom(project))[0])


def package_version(name: str) -> str:
    """The version of a Python package in the lock file."""
    return str(re.findall(rf"^{name}==(\S+)", LOCK.read_text(), re.MULTILINE)[0])


def _pom(project: str) -> str:
    return (SOURCES / f"{project}.pom.xml").read_text()


def _compile(main: str, jars: Path, target: Path) -> None:
    home = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac", path=f"{home}/bin" if home else None)
    if javac is None:
        raise NotInstalledError("javac is missing: a JDK is needed, not only a JRE")
    _run(
        [
            javac,
            "-proc:none",
            "-d",
            str(target),
            "-cp",
            str(jars / "*"),
            "-sourcepath",
            str(SOURCES),
            str(SOURCES / f"{main}.java"),
        ]
    )


def _install(target: Path) -> None:
    print("installing csp and Quix Streams", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", str(target)])
    # only wheels: csp would be built from its sources for an hour
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
    _run([str(target / "bin" / "python"), "-m", "pip", "install", *options, "-r", str(LOCK)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise NotInstalledError(f"{Path(command[0]).name} failed: {_first_line(done.stderr or done.stdout)}")


def _made(target: Path, make: Callable[[Path], None]) -> None:
    """Make a directory unless it is there; renamed when complete, so that what was interrupted does not look complete."""
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        place = Path(scratch) / target.name
        place.mkdir()
        make(place)
        try:
            place.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "it says nothing")
