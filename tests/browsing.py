"""The page of a scan in a browser, and how it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.webelement import WebElement

from fcconv.report import write_page
from fcconv.scanning.peaks import Peak
from fcconv.scanning.result import Scan
from small_scans import LAYERS, randoms

Array = npt.NDArray[np.float64]


class Page:
    """A page in a browser, and how to use it."""

    def __init__(
        self, driver: webdriver.Chrome, path: Path, scan: Scan, peaks: Sequence[Peak] = ()
    ) -> None:
        rank = len(scan.size)
        write_page(path, scan, randoms(3, *(50, 40)[:rank]), None, LAYERS, peaks)
        driver.get(path.as_uri())
        self.driver, self.scan = driver, scan
        self.stage = driver.find_element(By.ID, "stage")
        driver.execute_script("arguments[0].scrollIntoView()", self.stage)  # all of it

    def text(self, name: str) -> str:
        return self.driver.find_element(By.ID, name).text

    def classes(self) -> list[WebElement]:
        return self.driver.find_elements(By.NAME, "class")

    def point(self, *pixel: float) -> None:
        """Move the mouse to a pixel of the image, to a sample of a recording."""
        size = self.stage.size
        *down, right = (part / n - 0.5 for part, n in zip(pixel, self.scan.size, strict=True))
        moves = ActionChains(self.driver).move_to_element_with_offset(
            self.stage, round(right * size["width"]), round(sum(down) * size["height"])
        )
        moves.perform()

    def zoom(self, times: int) -> None:
        """Press the button that doubles what is seen."""
        for _ in range(times):
            self.driver.find_element(By.CSS_SELECTOR, "#zoom button").click()

    def drag(self, down: int, right: int) -> None:
        """Move the mouse from the middle of the image with its button pressed."""
        moves = ActionChains(self.driver).move_to_element(self.stage).click_and_hold()
        moves.move_by_offset(right, down).release().perform()

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def reads(self, label: int, *cell: int) -> None:
        """Check that score, cell and box are those of a window."""
        assert float(self.text("score")) == pytest.approx(self.scan.scores[label, *cell], rel=1e-3)
        assert self.text("cell").startswith(f"row {cell[0]}, column {cell[1]}")
        top, left = (part.start for part in self.scan.box(*cell))
        high, wide = self.scan.window
        assert self.text("place") == f"left {left}, top {top}, {wide} wide, {high} high"
        self.outlines(self.stage.find_element(By.ID, "box"), [top, left, high, wide])

    def area(self, element: WebElement) -> Array:
        """Return top, left, height and width of what is drawn, from the corner of the stage."""
        drawn = self.driver.execute_script(
            "const [a, b] = [...arguments].map((one) => one.getBoundingClientRect());"
            "return [a.top - b.top, a.left - b.left, a.height, a.width]",
            element, self.stage,
        )  # fmt: skip
        return np.array(drawn)

    def outlines(self, element: WebElement, box: Sequence[float]) -> None:
        """Check that an outline is drawn where a box lies in the image."""
        whole = self.area(self.stage.find_element(By.ID, "view"))
        expected = np.array(box) * np.tile(whole[2:] / self.scan.size, 2)
        expected[:2] += whole[:2]
        np.testing.assert_allclose(self.area(element), expected, atol=1)

    def colour(self, *block: int) -> list[int]:
        """Read a pixel of the heatmap."""
        found: list[int] = self.driver.execute_script(
            "const copy = document.createElement('canvas').getContext('2d');"
            "copy.drawImage(document.getElementById('heat'), -arguments[1], -arguments[0]);"
            "return [...copy.getImageData(0, 0, 1, 1).data]",
            *block,
        )
        return found


def complaints(browser: webdriver.Chrome) -> list[Any]:
    found: list[Any] = browser.execute(Command.GET_LOG, {"type": "browser"})["value"]
    return found


def centre(scan: Scan, *cell: int) -> list[float]:
    return [(part.start + part.stop) / 2 for part in scan.box(*cell)]
