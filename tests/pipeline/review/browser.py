"""Chromium over the page, watched: what it asks for, what it complains about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from s2sw.pipeline.review.access_gate import COOKIE
from tests.pipeline.review.serving import Client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONTROLS = frozenset(
    "button link textbox slider checkbox combobox spinbutton Date DateTime searchbox radio img image".split()
)
"""Roles (WAI-ARIA 1.2) that need an accessible name."""


@dataclass
class Watched:
    """What a browser did while somebody was on the page."""

    page: Page
    client: Client
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/slices") -> None:
        """Load a page."""
        self.page.goto(self.client.address + path)
        self.settle()

    def settle(self) -> None:
        """Wait until picture and map of a slice are drawn, where the page has one."""
        if self.page.locator("#viewer").count():
            self.page.wait_for_selector("#viewer[data-ready]", state="attached")

    def follow(self, pattern: str) -> None:
        """Wait until a page with such an address is there and drawn."""
        self.page.wait_for_url(pattern)
        self.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def inside(self) -> int:
        """Return the number of pixels in the mask that is drawn."""
        return int(self.page.locator("#viewer").get_attribute("data-inside") or -1)

    def painted(self) -> int:
        """Return the number of pixels of the overlay that are not clear; 0 where it is off."""
        return int(
            self.page.evaluate(
                """() => { const c = document.getElementById("overlay"); if (c.hidden) return 0;
                const copy = new OffscreenCanvas(c.width, c.height);
                const context = copy.getContext("2d", { willReadFrequently: true });
                context.drawImage(c, 0, 0);
                const d = context.getImageData(0, 0, c.width, c.height).data;
                let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n += 1; return n; }"""
            )
        )

    def unnamed(self) -> list[str]:
        """Return the controls and pictures without an accessible name, as assistive technology sees them."""
        session = self.page.context.new_cdp_session(self.page)
        nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
        return [
            str(node["role"])
            for node in nodes
            if not node.get("ignored")
            and node.get("role", {}).get("value") in CONTROLS
            and not str(node.get("name", {}).get("value", "")).strip()
        ]

    def faint_texts(self) -> list[str]:
        """Return the texts whose contrast is below WCAG 2.2's 4.5 (3 for large ones), and faint borders."""
        found: list[str] = self.page.evaluate(CONTRAST)
        return found

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def watched(browser: Browser, client: Client, **context: Any) -> Iterator[Watched]:
    """Give a browser that was let in; fail if it complained or went anywhere else."""
    opened = browser.new_context(**context)
    page = opened.new_page()
    watch = Watched(page, client)
    opened.on("request", lambda request: watch.hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: watch.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))

    def refuse(dialog: Any) -> None:
        watch.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    place: Any = {"domain": "127.0.0.1", "path": client.root, "sameSite": "Strict", "httpOnly": True}
    opened.add_cookies([{"name": COOKIE, "value": client.session, **place}])
    try:
        yield watch
        assert watch.complaints == [], watch.complaints
        assert watch.hosts == {f"127.0.0.1:{client.port}"}, watch.hosts
    finally:
        opened.close()


CONTRAST = """() => {
  const rgba = (text) => {
    const m = text.match(/[\\d.]+/g).map(Number);
    return m.length < 4 ? [...m, 1] : m;
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((under, top) => over(top, under), [255, 255, 255]);
  };
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((m, n) => n - m);
    return (x + 0.05) / (y + 0.05);
  };
  const found = [];
  const seen = (e) => e.checkVisibility() && e.getBoundingClientRect().width > 1;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !seen(element)) continue;
    const style = getComputedStyle(element);
    const back = ground(element);
    const colour = rgba(style.color);
    const front = over([...colour.slice(0, 3), colour[3] * style.opacity], back);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const value = contrast(front, back);
    if (value < least) found.push(`${text.slice(0, 30)}: ${value.toFixed(2)}`);
  }
  const framed = "input:not([type=hidden], [type=range], [type=checkbox]), select, textarea, "
    + "button:not(.quiet, .link)";
  for (const element of document.querySelectorAll(framed)) {
    if (!seen(element)) continue;
    const style = getComputedStyle(element);
    const around = ground(element.parentElement);
    const best = Math.max(contrast(over(rgba(style.borderTopColor), around), around),
      contrast(over(rgba(style.backgroundColor), around), around));
    if (best < 3) found.push(`border of ${element.id || element.textContent.trim()}: ${best.toFixed(2)}`);
  }
  return found;
}"""
