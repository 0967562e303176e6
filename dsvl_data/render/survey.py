"""The scripts that ask a web page, in its browser, what it is made of.

In: a loaded page. Out: `SURVEY` gives its style sheets, what became of its pictures, and whether
anything waits for the first frame that is drawn (`late`), `HARVEST` its elements as a tree, with
what a printer must know of each, and which selectors match. `REPLACE` puts another document in a
page's place. The first and the last bring a page to rest: nothing moves
after them, and nothing has the focus.
"""

from __future__ import annotations

#: Flags of an element in the tree.
FREE = 1  # white space between its children shows nothing
START = 2  # nor does white space before its first child
END = 4  # or after its last
PRESERVED = 8  # white space shows as it is
BLOCK = 16  # nor does white space beside the element itself
UNSEEN = 32  # it is hidden, or out of the picture
FOREIGN = 64  # SVG or MathML

#: Deeper than this no page of a person is.
MAX_DEPTH = 250

_HALT = """
  const halt = async () => {
    document.activeElement?.blur?.();
    for (const image of document.images) image.loading = "eager";
    const waits = [...document.images].filter(image => !image.complete);
    await Promise.all(waits.map(image => new Promise(done => {
      image.addEventListener("load", done, {once: true});
      image.addEventListener("error", done, {once: true});
      if (image.complete) done();
    })));
    for (const animation of document.getAnimations()) {
      try {
        if (animation.effect?.getComputedTiming().endTime === Infinity) animation.cancel();
        else animation.finish();
      } catch (error) { animation.cancel(); }
    }
    for (const svg of document.querySelectorAll("svg")) {
      if (svg.ownerSVGElement) continue;
      svg.pauseAnimations();
      svg.setCurrentTime(0);
    }
    for (const media of document.querySelectorAll("audio, video")) {
      // Without an address they do not show, for a time by chance, that they wait for their film.
      media.removeAttribute("src");
      for (const source of media.querySelectorAll("source")) source.removeAttribute("src");
      media.load();
    }
    window.scrollTo(0, 0);
    const root = document.scrollingElement || document.documentElement;
    return Math.max(root?.scrollHeight ?? 0, window.innerHeight);
  };
"""

REPLACE = (
    "async html => {"
    + _HALT
    + """
  document.open();  // what listened to the last one listens no more
  const loaded = new Promise(done => window.addEventListener("load", done, {once: true}));
  document.write(html);
  document.close();
  await loaded;
  return await halt();
}"""
)

#: What a script drew on a canvas is in no source: a picture of its size takes its place.
_CANVASES = """
  const swap = canvas => {
    if (!canvas.width || !canvas.height || !canvas.getClientRects().length) return;
    let colour = "rgb(204 204 204)";
    try {
      const dot = document.createElement("canvas");
      dot.width = dot.height = 1;
      const pen = dot.getContext("2d");
      pen.drawImage(canvas, 0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      colour = `rgb(${r} ${g} ${b} / ${Math.round(a / 2.55) / 100})`;
    } catch (error) { /* pixels that nobody may read: the grey of pictures that are not there */ }
    const style = getComputedStyle(canvas), image = document.createElement("img");
    for (const {name, value} of canvas.attributes)
      if (name !== "width" && name !== "height") image.setAttribute(name, value);
    image.style.width = style.width;
    image.style.height = style.height;
    image.style.display = style.display;
    image.src = "data:image/svg+xml," + encodeURIComponent(
      `<svg xmlns='http://www.w3.org/2000/svg' width='${canvas.width}' height='${canvas.height}' `
      + `style='background:${colour}'></svg>`);
    canvas.replaceWith(image);
  };
  for (const canvas of document.querySelectorAll("canvas")) swap(canvas);
"""

_SURVEY = """
  const height = await halt();
  const sheets = [], unneeded = [];
  for (const sheet of document.styleSheets) {
    if (sheet.disabled) continue;
    const owner = sheet.ownerNode, media = sheet.media.mediaText;
    if (owner instanceof HTMLLinkElement) { sheets.push({href: sheet.href, media}); continue; }
    let text = owner?.textContent ?? "";
    // Scripts may have put rules in that no text holds.
    if (!text.trim()) text = [...sheet.cssRules].map(rule => rule.cssText).join("\\n");
    sheets.push({text, media});
  }
  for (const sheet of document.adoptedStyleSheets)
    sheets.push({text: [...sheet.cssRules].map(rule => rule.cssText).join("\\n"), media: ""});
  for (const link of document.querySelectorAll("link[rel~=stylesheet i]"))
    if (link.disabled || /alternate/i.test(link.rel)
        || (link.media && !matchMedia(link.media).matches)) unneeded.push(link.href);
  const classes = new Set(), ids = new Set();
  let elements = 0;
  for (const element of document.querySelectorAll("*")) {
    elements += 1;
    for (const name of element.classList) classes.add(name);
    if (element.id) ids.add(element.id);
  }
  const images = [];
  for (const image of document.querySelectorAll("img, input[type=image i]")) {
    const source = image.currentSrc || image.src;
    if (!source) continue;
    const style = image.computedStyleMap?.();
    const set = name => image.hasAttribute(name)
      || (style && !/auto|content/.test(String(style.get(name))));
    images.push({
      source, sized: Boolean(set("width") && set("height")),
      broken: image instanceof HTMLImageElement && image.complete && image.naturalWidth === 0
        && image.naturalHeight === 0,
      shown: image.getClientRects().length > 0 && image.offsetWidth * image.offsetHeight > 16,
    });
  }
  const scripts = [...document.scripts].map(script => script.src || "inline")
    .filter(source => source !== "inline");
  return JSON.stringify({
    height, sheets, unneeded, classes: [...classes], ids: [...ids], elements, images, scripts,
    inline: [...document.querySelectorAll("[style]")].map(e => e.getAttribute("style")),
    quirks: document.compatMode !== "CSS1Compat", base: document.baseURI,
    doctype: document.doctype
      ? [document.doctype.name, document.doctype.publicId, document.doctype.systemId] : null,
    scripted: document.scripts.length,
    late: document.querySelector("[autofocus], audio, video") !== null,
    text: (document.body?.innerText ?? "").slice(0, 20000).toWellFormed(),
  });
"""

SURVEY = "async canvases => {" + _HALT + "if (canvases) {" + _CANVASES + "}" + _SURVEY + "}"

_TREE = """
  const LEAVES = /^(svg|select|math|iframe|object|video|audio)$/;
  const KEPT = /^(html|head|body|title|col|colgroup|source|wbr|br|area|map)$/;
  const OUT = new RegExp("^(script|noscript|template|style|link|meta|base|param|track|embed|applet|"
    + "frame|frameset|noframes)$");
  const HTML = "http://www.w3.org/1999/xhtml";
  const within = box => box.right >= 0 && box.left <= width && box.bottom >= 0 && box.top <= height;
  const unseen = [], places = [];
  let deep = false;
  const own = element => {
    const attributes = [];
    for (const {name, value} of element.attributes) attributes.push(name, value);
    const set = (name, value) => {
      const at = attributes.findIndex((each, i) => i % 2 === 0 && each === name);
      if (at >= 0) attributes.splice(at, 2);
      if (value !== null) attributes.push(name, value);
    };
    if (element instanceof HTMLImageElement && (element.currentSrc || element.src)) {
      set("src", element.currentSrc || element.src);
      attributes.push("~width", String(element.naturalWidth));
      attributes.push("~height", String(element.naturalHeight));
    } else if (element instanceof HTMLInputElement) {
      if (element.type === "checkbox" || element.type === "radio")
        set("checked", element.checked ? "" : null);
      else if (element.type === "image") set("src", element.src);
      else if (element.type !== "file" && element.type !== "hidden" && element.value)
        set("value", element.value);
    } else if (element instanceof HTMLOptionElement) {
      set("selected", element.selected && (element.selected !== element.defaultSelected
        || element.hasAttribute("selected")) ? "" : null);
    } else if (element instanceof HTMLVideoElement && element.poster) {
      set("poster", element.poster);
    } else if (element instanceof SVGImageElement) {
      set("xlink:href", null);
      set("href", new URL(element.href.baseVal, document.baseURI).href);
    }
    return attributes;
  };
  // Gives [tag, flags, attributes, children] and whether any of it is in the picture.
  const walk = (element, depth, svg) => {
    if (depth > DEEPEST) { deep = true; return [["br", 0, [], []], true]; }
    const foreign = element.namespaceURI !== HTML;
    const tag = element.localName, style = getComputedStyle(element);
    const display = style.display;
    let flags = 0;
    if (foreign) {
      flags |= FOREIGN | (/^(text|tspan|textPath|title|desc)$/.test(tag) ? PRESERVED : FREE);
      if (tag === "svg" && !svg && display !== "inline" && style.float === "none"
          && !/absolute|fixed/.test(style.position)) flags |= BLOCK;
    } else {
      if (style.whiteSpaceCollapse !== "collapse" || tag === "textarea") flags |= PRESERVED;
      if (/flex|grid/.test(display) || /^table(-row|-header|-footer|-column|$)/.test(display)
          || /^(html|head|select|optgroup|video|audio)$/.test(tag)) flags |= FREE;
      if (/^(block|inline-block|list-item|flow-root|table-cell|table-caption)$/.test(display)
          && !(display === "list-item" && style.listStylePosition === "inside")) {
        if (/^(none|normal)$/.test(getComputedStyle(element, "::before").content)) flags |= START;
        if (/^(none|normal)$/.test(getComputedStyle(element, "::after").content)) flags |= END;
      }
      if (/^(block|flex|grid|list-item|flow-root|table.*)$/.test(display) && style.float === "none"
          && !/absolute|fixed/.test(style.position)) flags |= BLOCK;
    }
    const boxes = svg ? [] : [...element.getClientRects()];
    const hidden = !svg && display !== "contents" && !element.checkVisibility();
    let seen = svg || (!hidden && boxes.some(within));
    // What has no box of its own says nothing of where it is.
    const kept = KEPT.test(tag)
      || (!hidden && boxes.length === 0 && !element.firstElementChild && display !== "contents");
    const children = [], leaf = LEAVES.test(tag), before = unseen.length;
    if (tag === "textarea") children.push(element.value);
    else for (const node of element.childNodes) {
      if (node.nodeType === Node.TEXT_NODE || node.nodeType === Node.CDATA_SECTION_NODE) {
        if (node.data) children.push(node.data);
        if (display === "contents" && node.data.trim()) seen = true;
      } else if (node.nodeType === Node.ELEMENT_NODE && !OUT.test(node.localName)) {
        const [child, shows] = walk(node, depth + 1, svg || leaf);
        seen = seen || (shows && !hidden);
        children.push(child);
      }
    }
    // The place of a sign of an icon font, which nobody sees.
    if (seen && !svg && (tag === "i" || tag === "span") && display === "inline"
        && !element.innerHTML.trim() && !element.id && boxes.every(box => box.width === 0)
        && !parseFloat(style.marginLeft) && !parseFloat(style.marginRight)) seen = false;
    if (seen && boxes.length) places.push([element, boxes[0].left, boxes[0].top]);
    if (!seen && !kept && !svg) {
      flags |= UNSEEN;
      unseen.length = before;  // what is in it goes with it
      unseen.push(element);
    }
    return [[tag, flags, own(element), children], seen];
  };
"""

_MATCH = """
  const asked = JSON.parse(questions);
  const nowhere = document.createDocumentFragment();
  const indices = (list, test) => {
    const found = [];
    for (let i = 0; i < list.length; i++) {
      let is = false;
      try { is = test(list[i], i); } catch (error) { is = false; }
      if (is) found.push(i);
    }
    return found;
  };
  const matches = selector => document.querySelector(selector) !== null;
  const matching = indices(asked.probes, matches);
  const valid = indices(asked.lists, list => nowhere.querySelector(list) === null);
  const media = asked.media.map(query => matchMedia(query).matches);
  const supports = asked.supports.map(condition => CSS.supports(condition));
"""

HARVEST = (
    "([questions, width, height]) => {"
    + f"const FREE = {FREE}, START = {START}, END = {END}, PRESERVED = {PRESERVED}, "
    + f"BLOCK = {BLOCK}, UNSEEN = {UNSEEN}, FOREIGN = {FOREIGN}, DEEPEST = {MAX_DEPTH};"
    + _TREE
    + _MATCH
    + """
  const [tree] = walk(document.documentElement, 0, false);
  for (const element of unseen) element.remove();
  // Where elements go, only selectors that tell of neighbours or contents begin to match.
  const were = new Set(matching);
  const still = indices(asked.probes, (selector, i) =>
    (were.has(i) || /[:+~]/.test(selector)) && matches(selector));
  const moved = places.filter(([element, left, top]) => {
    const box = element.getClientRects()[0];
    return !box || Math.abs(box.left - left) > 2 || Math.abs(box.top - top) > 2;
  }).length / Math.max(places.length, 1);
  return JSON.stringify({tree, deep, moved, matching, still, valid, media, supports});
}"""
)
