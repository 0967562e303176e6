"""The script that asks a page what one of its outputs shows.

In: the id of an element (none: the whole document). Out: JSON with the number of graphics
(pictures that have loaded, canvases, SVG, ...) and of table cells, the length of the visible
text, the number of frames whose scripts have still to run, images that did not load, frames that
must be asked themselves, sizes in CSS pixels, and whether the output lies inside another one,
whose markup was not closed.
"""

PROBE = """
({id}) => {
  const SMALLEST = 32;  // below that a picture is an icon or a logo
  const answer = {graphics: 0, cells: 0, text: 0, nodes: 0, busy: 0, broken: [], frames: [],
                  width: 0, height: 0, overflow: 0, nested: false};
  const ask = (view) => { if (view[Symbol.for('screen')]?.busy()) answer.busy += 1; };
  ask(window);
  const root = id === null ? document.body : document.getElementById(id);
  if (!root) { answer.nested = id !== null; return JSON.stringify(answer); }
  answer.nested = id !== null && !!root.parentElement.closest('.jp-OutputArea-output');

  const large = (element) => {
    const box = element.getBoundingClientRect();
    return box.width >= SMALLEST && box.height >= SMALLEST;
  };
  const visible = (element) => {
    const style = element.ownerDocument.defaultView.getComputedStyle(element);
    return style.display !== 'none' && style.visibility !== 'hidden';
  };
  const frame = (element) => {
    if (!large(element)) return;
    let inner = null;
    try { inner = element.contentDocument; } catch (error) { inner = null; }
    const away = element.src && !/^(about|data|blob):/.test(element.src);
    if (away && inner && inner.URL === 'about:blank') answer.broken.push(element.src);
    else if (inner && inner.body) { ask(inner.defaultView); walk(inner.body); }
    else if (element.src) answer.frames.push(element.src);
  };
  const walk = (node) => {
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) {
        answer.text += child.data.trim().length;
        continue;
      }
      if (child.nodeType !== Node.ELEMENT_NODE) continue;
      answer.nodes += 1;
      const name = child.localName;
      if (['script', 'style', 'template', 'noscript', 'title'].includes(name)) continue;
      if (!visible(child)) continue;
      if (name === 'iframe') { frame(child); continue; }
      if (name === 'img') {
        if (!child.complete) { answer.nodes += 1000; continue; }
        if (child.naturalWidth > 0) answer.graphics += large(child) ? 1 : 0;
        else if (child.src) answer.broken.push(child.src);
        continue;
      }
      if (['canvas', 'svg', 'video', 'embed', 'object'].includes(name)) {
        answer.graphics += large(child) ? 1 : 0;
        continue;
      }
      if (name === 'td' || name === 'th') answer.cells += 1;
      if (child.shadowRoot) walk(child.shadowRoot);
      walk(child);
    }
  };
  const output = id === null ? root : root.querySelector('.jp-OutputArea-output');
  if (!output) return JSON.stringify(answer);
  walk(output);
  const box = output.getBoundingClientRect();
  answer.width = box.width;
  answer.height = box.height;
  if (output.scrollWidth > output.clientWidth + 1 && output.clientWidth > 0)
    answer.overflow = Math.ceil(window.innerWidth + output.scrollWidth - output.clientWidth);
  return JSON.stringify(answer);
}
"""
