"""The script that makes a page show the same in every run, whatever the hour and the dice.

Runs in each frame before any script of the page. Random numbers come from a generator with a
constant seed. The clock starts at a constant time and goes on only when a timer or a frame of an
animation is due, by as much as was asked for and not by how long it really took: what a script
reads depends on what it did, and animations come to their end. Workers keep the real clock.
"""

from __future__ import annotations

#: Where every page's clock starts: noon, so that no time zone shows another year.
_EPOCH = "Date.UTC(2024, 0, 1, 12)"
#: What a frame of an animation adds to the clock, in ms. Only an animation's end is wanted; with
#: a real frame's 16 ms a page that is slow to draw would not reach it.
_FRAME_MS = 100
#: So many readings without a timer in between are a script that waits in a loop.
_PATIENCE = 1000

FROZEN = (
    """
(() => {
  let seed = 42;
  const random = () => {
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  Math.random = random;
  Crypto.prototype.getRandomValues = function (array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
    return array;
  };
  if (Crypto.prototype.randomUUID) Crypto.prototype.randomUUID = () => {
    const hex = () => Math.floor(random() * 16).toString(16);
    const variant = () => "89ab"[Math.floor(random() * 4)];
    return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/x/g, hex).replace("y", variant);
  };

  const epoch = EPOCH, Real = Date;
  let elapsed = 0, readings = 0;
  const reach = time => { elapsed = Math.max(elapsed, time); readings = 0; };
  const read = () => {
    if (++readings > PATIENCE) elapsed += 1;
    return elapsed;
  };
  const now = () => Math.floor(epoch + read());
  Real.now = now;
  window.Date = Real.prototype.constructor = new Proxy(Real, {
    apply: () => new Real(now()).toString(),
    construct: (target, given, made) =>
      Reflect.construct(target, given.length ? given : [now()], made),
  });
  Performance.prototype.now = read;
  Object.defineProperty(Performance.prototype, "timeOrigin", {get: () => epoch});
  Object.defineProperty(Document.prototype, "lastModified", {get: () => "01/01/2024 12:00:00"});

  // What is no function is source text, which a page may give instead.
  const call = (task, given) =>
    typeof task === "function" ? task.apply(window, given) : (0, eval)(String(task));
  const {setTimeout, setInterval, requestAnimationFrame} = window;
  window.setTimeout = (task, delay, ...given) => {
    const due = elapsed + (delay > 0 ? +delay : 0);
    return setTimeout(() => { reach(due); call(task, given); }, delay);
  };
  window.setInterval = (task, delay, ...given) => {
    let due = elapsed;
    return setInterval(() => {
      due += delay > 0 ? +delay : 0;
      reach(due);
      call(task, given);
    }, delay);
  };
  let frame = null;
  window.requestAnimationFrame = task => requestAnimationFrame(real => {
    if (real !== frame) { frame = real; reach(elapsed + FRAME_MS); }
    task(elapsed);
  });
})()
""".replace("EPOCH", _EPOCH)
    .replace("PATIENCE", str(_PATIENCE))
    .replace("FRAME_MS", str(_FRAME_MS))
)
