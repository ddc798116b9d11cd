"""The scripts of the pages: what is sent of a file, and that all modules of a page are asked for at once."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.web import pages
from app.web.pages import HERE, static

SCRIPTS = sorted(path.name for path in (HERE / "static").glob("*.js"))
PAGES = sorted(set(re.findall(r'script="([\w-]+\.js)"', Path(pages.__file__).read_text())))


async def answer(name: str, **headers: str) -> web.Response:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    found = await static(make_mocked_request("GET", f"/static/{name}", headers=sent, match_info={"name": name}))
    assert isinstance(found, web.Response)
    return found


async def test_a_file_is_compressed_for_a_client_that_takes_it_and_for_no_other() -> None:
    text = (HERE / "static" / "chart.js").read_bytes()
    packed, plain = await answer("chart.js", Accept_Encoding="gzip, br"), await answer("chart.js")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert isinstance(packed.body, bytes)
    assert gzip.decompress(packed.body) == text
    assert plain.body == text
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


async def test_a_file_that_changes_is_sent_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "static").mkdir()
    file = tmp_path / "static" / "page.js"
    monkeypatch.setattr(pages, "HERE", tmp_path)
    for text in ("1;" * 2_000, "2;" * 2_000):
        file.write_text(text)
        found = await answer("page.js", Accept_Encoding="gzip")
        assert isinstance(found.body, bytes)
        assert gzip.decompress(found.body).decode() == text
    assert (await answer("page.js", If_None_Match=found.headers["ETag"])).status == 304


@pytest.mark.parametrize("name", ["../pages.py", "nothing.js", ".", ""])
async def test_no_other_file_is_sent(name: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        await answer(name)


def imports(name: str) -> set[str]:
    """The files of this folder that a module names, in whatever way."""
    return set(re.findall(r'"\./([\w-]+\.js)"', (HERE / "static" / name).read_text()))


@pytest.mark.parametrize("name", [*PAGES, "overview.js"])
def test_a_page_names_all_modules_that_its_script_needs(name: str) -> None:
    asked = set(pages._imported(name))
    assert name not in asked
    assert imports(name) | set().union(*(imports(one) for one in asked)) == asked


def test_every_script_belongs_to_a_page() -> None:
    used = {name for page in HERE.glob("templates/*.html") for name in re.findall(r"/static/([\w-]+\.js)", page.read_text())}
    used |= {*PAGES, "overview.js", "wheel.js", "migrations.js"}
    used |= {one for name in used if name in SCRIPTS for one in pages._imported(name)}
    assert set(SCRIPTS) - used == set()
