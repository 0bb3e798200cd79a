"""One look at a page: a script that reads every panel, by the selectors."""

from __future__ import annotations

import json

from modelplane_provisioning.pictures import selectors

_NAMES = ("PANEL", "TITLE", "CONTENT", "LOADING_BAR", "SPINNER", "STATUS", "STATUS_PREFIX", "DATA_MESSAGE",
          "CRASH", "SCROLL_CONTAINER", "LOGIN", "THEME_CLASSES")  # fmt: skip

# Of a table that has thousands of texts the first 50 say enough.
_SCRIPT = """() => {
  const at = SELECTORS;
  const drawing = "canvas, svg, img, [role=grid]";
  const text = (element) => (element ? element.innerText : "");
  const shortTexts = (content) => {
    const walker = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
    const texts = new Set();
    while (walker.nextNode() && texts.size < 50) {
      const line = walker.currentNode.data.trim();
      if (line && line.length <= 200) texts.add(line);
    }
    return [...texts];
  };
  const panel = (section) => {
    const title = section.querySelector(at.TITLE);
    const content = section.querySelector(at.CONTENT);
    const status = section.querySelector(at.STATUS);
    return {
      title: title ? title.textContent : "",
      isCut: !!title && title.scrollWidth > title.clientWidth,
      isLoading: !!section.querySelector(`${at.LOADING_BAR}, ${at.SPINNER}`),
      isDrawn: !!content && (content.innerText.trim() !== "" || !!content.querySelector(drawing)),
      status: status ? status.dataset.testid.slice(at.STATUS_PREFIX.length) : "",
      crash: text(section.querySelector(at.CRASH)),
      message: text(section.querySelector(at.DATA_MESSAGE)),
      texts: content ? shortTexts(content) : [],
    };
  };
  const sections = [...document.querySelectorAll(at.PANEL)];
  const scrolling = document.querySelector(at.SCROLL_CONTAINER);
  const hidden = scrolling ? scrolling.scrollHeight - scrolling.clientHeight : 0;
  const bottoms = sections.map((section) => section.getBoundingClientRect().bottom + scrollY);
  const theme = Object.entries(at.THEME_CLASSES).find(([, name]) => document.body?.classList.contains(name));
  return {
    panels: sections.map(panel),
    height: document.documentElement.scrollHeight + Math.max(hidden, 0),
    bottom: Math.ceil(Math.max(0, ...bottoms)),
    theme: theme ? theme[0] : "",
    isLogin: !!document.querySelector(at.LOGIN),
  };
}"""
LOOK = _SCRIPT.replace("SELECTORS", json.dumps({name: getattr(selectors, name) for name in _NAMES}))
