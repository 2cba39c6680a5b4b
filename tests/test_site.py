"""The site: pictures show what their code draws, the reference is whole, arrows point down."""

from __future__ import annotations

import re
import runpy
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import fcconv

ROOT = Path(__file__).parents[1]
DRAWINGS = ROOT / "docs" / "drawings"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(path: Path) -> list[tuple[str, ...]]:
    """List the words and the shapes of a picture, places rounded to a point."""
    found: list[tuple[str, ...]] = []
    for element in ET.parse(path).iter():
        if element.tag == f"{SVG}text":
            found.append(("text", "".join(element.itertext()).strip()))
        elif element.tag == f"{SVG}path":
            places = (str(round(float(n))) for n in NUMBER.findall(element.get("d", "")))
            found.append(("path", *places, element.get("style", "")))
    return found


def test_pictures_show_what_their_code_draws(tmp_path: Path) -> None:
    made = runpy.run_path(str(DRAWINGS / "draw.py"))
    made["draw"](tmp_path)
    for name in made["DRAWINGS"]:
        kept = drawn(DRAWINGS / f"{name}.svg")
        assert any(words[0] == "text" for words in kept)
        assert drawn(tmp_path / f"{name}.svg") == kept, name


def test_no_arrow_of_the_house_points_up() -> None:
    made = runpy.run_path(str(DRAWINGS / "house.py"))
    found, level = made["found"], made["level"]
    assert {"cli", "images", "graph/rules"} <= set(found)
    assert not [
        (room, other) for room in found for other in found[room] if level[other] >= level[room]
    ]


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8")
    told = set(re.findall(r"^\.\. auto\w+:: fcconv\.(\w+)$", text, re.MULTILINE))
    errors = {name for name in fcconv.__all__ if name.endswith("Error")}
    modules = {"errors", "report", "rounding"}
    assert told - modules == set(fcconv.__all__) - errors - {"rounding", "__version__"}


BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_browser = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver"
)


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=800,500"):
        options.add_argument(f"--{option}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.get((ROOT / "docs" / "interactive" / "kernel.html").as_uri())
    yield driver
    driver.quit()


@in_browser
def test_the_kernel_moves(browser: webdriver.Chrome) -> None:
    def said() -> str:
        return browser.find_element(By.ID, "sum").text

    def seen(name: str) -> list[str]:
        return [one.text for one in browser.find_elements(By.CSS_SELECTOR, f"#{name} .seen")]

    assert said() == "Cell (0, 0): 1·1 + 0·2 + 0·5 + 2·6 = 13"
    picture = browser.find_element(By.ID, "picture")
    picture.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert said() == "Cell (2, 1): 1·10 + 0·11 + 0·14 + 2·15 = 40"
    assert (seen("picture"), seen("map")) == (["10", "11", "14", "15"], ["40"])
    side = picture.size["width"]
    ActionChains(browser).move_to_element_with_offset(picture, 0, -side // 3).perform()
    assert said().startswith("Cell (0, 1): ")
    weight = browser.find_elements(By.CSS_SELECTOR, "#kernel input")[0]
    weight.clear()
    weight.send_keys("5")
    assert said() == "Cell (0, 1): 5·2 + 0·3 + 0·6 + 2·7 = 24"
