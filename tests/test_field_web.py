"""The page that listens to a file: a saved stream in a browser scores what Python scores."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

import fcconv
from browsing import complaints
from comparing import assert_identical
from recordings import RATE
from serving import served
from small_streams import recording, whole_numbers

soundfile = pytest.importorskip("soundfile")
PAGE = Path(__file__).parents[1] / "docs" / "interactive" / "listen.html"
NPM = shutil.which("npm")
pytestmark = pytest.mark.skipif(NPM is None, reason="needs npm")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page as it says that it is served: beside what npm installs."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(PAGE, folder)
    words = [
        "--no-save",
        "--no-package-lock",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]
    subprocess.run([str(NPM), "install", *words, "onnxruntime-web"], cwd=folder, check=True)
    with served(folder) as url:
        yield url


class Listening:
    """The page, given a network and a sound."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        browser.get(f"{address}/{PAGE.name}")
        self.browser = browser

    def hears(self, network: Path, sound: Path, speed: str = "as fast as it goes") -> None:
        self.browser.find_element(By.ID, "network").send_keys(str(network))
        self.browser.find_element(By.ID, "sound").send_keys(str(sound))
        Select(self.browser.find_element(By.ID, "speed")).select_by_visible_text(speed)
        self.browser.find_element(By.TAG_NAME, "button").click()

    def said(self) -> str:
        return self.browser.find_element(By.ID, "said").text

    def table(self) -> np.ndarray:
        """Wait for the table that it offers, and read it."""
        link = self.browser.find_element(By.ID, "table")
        WebDriverWait(self.browser, 20, 0.05).until(
            lambda _: link.is_displayed() or "Not possible" in self.said()
        )
        assert "Not possible" not in self.said()
        text = self.browser.execute_async_script(
            "fetch(arguments[0].href).then((made) => made.text()).then(arguments[1])", link
        )
        return np.array([line.split(",") for line in text.splitlines()[1:]], np.float64)

    def drawn(self) -> set[str]:
        """Return the colours of which something is drawn."""
        found = self.browser.execute_script(
            "const { width, height } = document.getElementById('picture');"
            "const pen = document.getElementById('picture').getContext('2d');"
            "return [...pen.getImageData(0, 0, width, height).data]"
        )
        return {bytes(pixel).hex() for pixel in np.array(found, np.uint8).reshape(-1, 4)}

    def refuses(self, words: str) -> None:
        WebDriverWait(self.browser, 20, 0.05).until(lambda _: words in self.said())


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Listening:
    return Listening(browser, address)


def sounds(length: int, channels: int = 2) -> np.ndarray:
    """A recording from -1 to 1, on which the networks of small integers are exact all the same."""
    made: np.ndarray = recording(length, channels) / np.float32(128)
    return made


@pytest.mark.parametrize("windows", ["shared", "exact"])
@pytest.mark.parametrize("chunk", [None, 40])
def test_scores_are_those_of_the_whole_recording(
    page: Listening, path: Path, windows: Any, chunk: int | None
) -> None:
    sliding = fcconv.convolutionize(whole_numbers(pads=int(windows == "exact")), windows=windows)
    sliding.stream(chunk=chunk).save(path, rate=RATE)
    x = sounds(4003)
    soundfile.write(path.with_name("x.wav"), x[0].T, RATE, "FLOAT")
    page.hears(path, path.with_name("x.wav"))
    found, scores = page.table(), sliding(x)
    assert_identical(found[:, 2:].T, scores[0].astype(np.float64), windows)
    starts = np.arange(scores.shape[2]) * 4
    assert_identical(found[:, :2], np.stack([starts, starts + 20], 1) / RATE, "seconds")
    best = scores[0, :, -1].argmax()
    assert page.said().startswith(f"0.50 s: class {best} at ")
    assert {"e69f00ff", "0072b2ff", "009e73ff", "d55e00ff", "cc79a7ff"} <= page.drawn()
    assert complaints(page.browser) == []


def test_a_microphone_is_not_ahead_of_time(page: Listening, path: Path) -> None:
    """Two channels are mixed for a network of one."""
    sliding = fcconv.convolutionize(whole_numbers(channels=1))
    sliding.stream().save(path, rate=RATE)
    x = sounds(8150)
    soundfile.write(path.with_name("x.wav"), x[0].T, RATE, "FLOAT")
    begin = time.perf_counter()
    page.hears(path, path.with_name("x.wav"), "as it sounds")
    found = page.table()
    assert time.perf_counter() - begin > 8150 / RATE
    scores = sliding(x.mean(1, keepdims=True))
    assert_identical(found[:, 2:].T, scores[0].astype(np.float64), "mixed")


def test_what_it_can_not_hear(page: Listening, path: Path) -> None:
    sliding = fcconv.convolutionize(whole_numbers())
    sound, text = path.with_name("x.wav"), path.with_name("x.txt")
    soundfile.write(sound, sounds(100, 3)[0].T, RATE, "FLOAT")
    text.write_text("no sound")
    sliding.save(path)
    page.hears(path, sound)
    page.refuses("the network is not a stream: write it by stream.save")
    sliding.stream().save(path)
    page.hears(path, sound)
    page.refuses("the network does not tell its rate")
    sliding.stream().save(path, rate=RATE)
    page.hears(path, text)
    page.refuses("x.txt is not a sound")
    page.hears(path, sound)
    page.refuses("x.wav has 3 channels, not 2")
    page.browser.get(PAGE.as_uri())  # where nothing was installed
    page.hears(path, sound)
    page.refuses("onnxruntime-web is not beside this page")
    assert complaints(page.browser) != []  # of the script; the browser goes on to other tests
