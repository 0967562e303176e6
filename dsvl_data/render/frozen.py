"""The script that makes a page show the same in every run, whatever the hour and the dice.

In: how many seconds of its own time a page gets. Out: a script that runs in each frame before
any script of the page. Random numbers come from a generator with a constant seed. The clock
starts at a constant time and goes on only from one timer, or frame of an animation, to the next:
they wait in one queue, run in the order in which they are due as fast as the machine can, and
never after the page's time is over. So neither the machine's speed nor the moment of a
screenshot decides what is drawn. The clock stands while the page waits for the network or for
the browser, and `window[Symbol.for("screen")].busy()` tells whether anything is still to run.
Workers keep the real clock.
"""

from __future__ import annotations

#: Where every page's clock starts: noon, so that no time zone shows another year.
_EPOCH = "Date.UTC(2024, 0, 1, 12)"
#: So many readings without a timer in between are a script that waits in a loop.
_PATIENCE = 1000

_CHANCE = """
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
  if (window.SubtleCrypto) SubtleCrypto.prototype.generateKey = () =>
    Promise.reject(new DOMException("no keys by chance here", "NotSupportedError"));
"""

_READINGS = """
  const epoch = EPOCH, Real = Date;
  // Time goes on by `elapsed`, from task to task, and by `waited`, in loops that only wait.
  let elapsed = 0, waited = 0, readings = 0;
  const read = () => {
    if (++readings > PATIENCE) waited += 1;
    return elapsed + waited;
  };
  const now = () => Math.floor(epoch + read());
  Real.now = now;
  window.Date = Real.prototype.constructor = new Proxy(Real, {
    apply: () => new Real(now()).toString(),
    construct: (target, given, made) =>
      Reflect.construct(target, given.length ? given : [now()], made),
  });
  const getter = (proto, name, get) =>
    Object.defineProperty(proto, name, {get, configurable: true, enumerable: true});
  getter(Document.prototype, "lastModified", () => "01/01/2024 12:00:00");
  getter(Event.prototype, "timeStamp", read);
  if (window.AnimationTimeline) getter(AnimationTimeline.prototype, "currentTime", read);

  const Format = Intl.DateTimeFormat.prototype;
  const format = Object.getOwnPropertyDescriptor(Format, "format").get;
  const {formatToParts} = Format;
  getter(Format, "format", function () {
    const bound = format.call(this);
    return date => bound(date === undefined ? now() : date);
  });
  Format.formatToParts = function (date) {
    return formatToParts.call(this, date === undefined ? now() : date);
  };
  if (window.Temporal) {
    const {Instant, Now} = Temporal;
    const zoned = zone => Now.instant().toZonedDateTimeISO(zone ?? Now.timeZoneId());
    Now.instant = () => Instant.fromEpochMilliseconds(now());
    Now.zonedDateTimeISO = zoned;
    Now.plainDateTimeISO = zone => zoned(zone).toPlainDateTime();
    Now.plainDateISO = zone => zoned(zone).toPlainDate();
    Now.plainTimeISO = zone => zoned(zone).toPlainTime();
  }

  const Perf = Performance.prototype, {mark, measure} = Perf;
  Perf.now = read;
  getter(Perf, "timeOrigin", () => epoch);
  const timing = {};
  for (const name in performance.timing)
    if (typeof performance.timing[name] === "number") timing[name] = epoch;
  getter(Perf, "timing", () => timing);
  getter(Perf, "memory", () => ({jsHeapSizeLimit: 0, totalJSHeapSize: 0, usedJSHeapSize: 0}));
  Perf.toJSON = () => ({timeOrigin: epoch, timing});
  Perf.mark = function (name, options) {
    return mark.call(this, name, {...options, startTime: options?.startTime ?? read()});
  };
  Perf.measure = function (name, start, end) {
    const asked = start !== null && typeof start === "object" ? {...start} : {start, end};
    if (asked.end === undefined && asked.duration === undefined) asked.end = read();
    asked.start ??= asked.duration === undefined ? 0 : undefined;
    return measure.call(this, name, asked);
  };
  // What the browser itself measured is real time.
  const ours = entry => entry.entryType === "mark" || entry.entryType === "measure";
  for (const name of ["getEntries", "getEntriesByName", "getEntriesByType"]) {
    const get = Perf[name];
    Perf[name] = function (...given) { return get.apply(this, given).filter(ours); };
  }
  if (window.PerformanceObserver) PerformanceObserver.prototype.observe = () => {};
"""

_WAITING = """
  // What a page waits for in real time; meanwhile its own time stands.
  let asked = 0;
  const loading = new Set();
  const hold = (owner, ...names) => {
    for (const name of names) {
      const task = owner?.[name];
      if (typeof task !== "function") continue;
      owner[name] = function (...given) {
        const answer = task.apply(this, given);
        if (answer && typeof answer.then === "function") {
          asked += 1;
          const done = () => { asked -= 1; };
          answer.then(done, done);
        }
        return answer;
      };
    }
  };
  hold(window, "fetch", "createImageBitmap");
  const reads = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"];
  hold(Response.prototype, ...reads);
  hold(Blob.prototype, ...reads);
  hold(HTMLImageElement.prototype, "decode");
  hold(FontFace.prototype, "load");
  hold(window.WebAssembly, "compile", "compileStreaming", "instantiate", "instantiateStreaming");
  hold(window.SubtleCrypto?.prototype, "decrypt", "digest", "encrypt", "sign", "verify");
  const {send} = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...given) {
    send.apply(this, given);
    if (this.readyState !== 1) return;
    asked += 1;
    this.addEventListener("loadend", () => { asked -= 1; }, {once: true});
  };
  const {toBlob} = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.toBlob = function (task, ...given) {
    asked += 1;
    try {
      toBlob.call(this, blob => { asked -= 1; task(blob); }, ...given);
    } catch (error) { asked -= 1; throw error; }
  };
  const loaded = new WeakSet();  // scripts run once, whatever is asked of them later
  const load = element => {
    if (loading.has(element) || loaded.has(element)) return;
    const done = () => {
      loading.delete(element);
      if (element instanceof HTMLScriptElement) loaded.add(element);
    };
    loading.add(element);
    element.addEventListener("load", done, {once: true});
    element.addEventListener("error", done, {once: true});
  };
  const loads = [[HTMLImageElement, "src"], [HTMLScriptElement, "src"], [HTMLLinkElement, "href"]];
  for (const [kind, name] of loads) {
    const {get, set} = Object.getOwnPropertyDescriptor(kind.prototype, name);
    Object.defineProperty(kind.prototype, name, {
      get, configurable: true, enumerable: true,
      set(value) { load(this); set.call(this, value); },
    });
  }
  const {setAttribute} = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (loads.some(([kind, its]) => this instanceof kind && its === name)) load(this);
    setAttribute.call(this, name, value);
  };
  const waits = element => {
    if (element instanceof HTMLImageElement) return !element.complete && element.loading !== "lazy";
    if (!element.isConnected) return false;
    if (element instanceof HTMLLinkElement) return element.relList.contains("stylesheet");
    return element.src && /^$|javascript|module/.test(element.type);
  };
  const holding = () => document.readyState !== "complete" || asked > 0
    || document.fonts.status === "loading" || [...loading].some(waits)
    || [...document.images].some(waits);
"""

_QUEUE = """
  const FRAME = 1000 / 60;
  // More frames without any task of the page come from its layout, which may never end.
  const CALM = 20;
  const span = SPAN;
  let horizon = span, running = false, dirty = true, calm = 0, stalled = false;
  let count = 0, depth = 0;
  const queue = new Map();
  const real = {
    timeout: window.setTimeout.bind(window),
    frame: window.requestAnimationFrame.bind(window),
  };
  const channel = new MessageChannel(), wake = channel.port2.postMessage.bind(channel.port2);
  const again = () => wake(null);
  const kick = () => { if (!running) { running = true; calm = 0; again(); } };

  // A change of the document may call observers of layout in the browser's next frame.
  const changes = {subtree: true, childList: true, attributes: true, characterData: true};
  const observer = new MutationObserver(() => { dirty = true; });
  observer.observe(document, changes);
  const {attachShadow} = Element.prototype;
  Element.prototype.attachShadow = function (options) {
    const root = attachShadow.call(this, options);
    observer.observe(root, changes);
    return root;
  };
  const laidOut = () => {
    let waiting = true;
    const go = late => {
      if (!waiting) return;
      waiting = false;
      stalled = late;  // a frame out of sight is never laid out
      again();
    };
    real.frame(() => real.timeout(() => go(false), 0));
    real.timeout(() => go(true), 1000);
    dirty = false;
  };
  // What moves without a script: to its end, or back to its start where it has no end.
  const still = () => {
    let ended = false;
    for (const animation of document.getAnimations()) {
      if (animation.playState !== "running") continue;
      if (animation.effect?.getComputedTiming().endTime === Infinity) animation.cancel();
      else animation.finish();
      ended = true;
    }
    for (const svg of document.querySelectorAll("svg")) {
      if (svg.ownerSVGElement || svg.animationsPaused()) continue;
      svg.pauseAnimations();
      svg.setCurrentTime(span / 1000);
    }
    for (const video of document.querySelectorAll("video")) {
      if (video.paused) continue;
      video.pause();
      video.currentTime = 0;
      ended = true;
    }
    return ended;
  };
  const earliest = () => {
    let first = null;
    for (const task of queue.values())
      if (!first || task.due < first.due || (task.due === first.due && task.turn < first.turn))
        first = task;
    return first && first.due <= horizon ? first : null;
  };
  channel.port1.onmessage = () => {
    if (holding()) { real.timeout(again, 5); return; }
    const task = earliest();
    if (!task) {
      if (calm++ < CALM && (still() || dirty)) laidOut();
      else running = false;
      return;
    }
    const drawn = Math.floor(task.due / FRAME) > Math.floor(elapsed / FRAME);
    if (dirty && drawn && !stalled) { laidOut(); return; }
    calm = 0;
    elapsed = Math.max(elapsed, task.due);
    readings = 0;
    if (task.every === null) queue.delete(task.id);
    else { task.due += task.every; task.turn = ++count; }
    depth = task.depth;
    try { task.run(); } catch (error) { reportError(error); }
    depth = 0;
    again();
  };
  const add = (due, run, every = null) => {
    const id = ++count;
    queue.set(id, {id, turn: id, due, run, every, depth: depth + 1});
    if (due <= horizon) kick();
    return id;
  };
  const remove = id => { queue.delete(Number(id)); };
  // What is no function is source text, which a page may give instead.
  const call = (task, given) =>
    typeof task === "function" ? task.apply(window, given) : (0, eval)(String(task));
  const span_of = delay => Math.max(depth < 5 ? 1 : 4, Math.floor(+delay) || 0);
  window.setTimeout = (task, delay, ...given) =>
    add(elapsed + span_of(delay), () => call(task, given));
  window.setInterval = (task, delay, ...given) => {
    const every = Math.max(4, span_of(delay));
    return add(elapsed + every, () => call(task, given), every);
  };
  window.requestAnimationFrame = task => {
    if (typeof task !== "function") throw new TypeError("a frame needs a function");
    const due = (Math.floor(elapsed / FRAME + 1e-6) + 1) * FRAME;
    return add(due, () => task(elapsed + waited));
  };
  window.requestIdleCallback = task =>
    add(elapsed + 1, () => task({didTimeout: false, timeRemaining: () => 50}));
  window.clearTimeout = window.clearInterval = remove;
  window.cancelAnimationFrame = window.cancelIdleCallback = remove;
  if (window.Scheduler) Scheduler.prototype.postTask = (task, options) =>
    new Promise((fulfil, reject) => window.setTimeout(() => {
      try { fulfil(task()); } catch (error) { reject(error); }
    }, options?.delay));
  AbortSignal.timeout = delay => {
    const control = new AbortController();
    const late = () => control.abort(new DOMException("signal timed out", "TimeoutError"));
    window.setTimeout(late, delay);
    return control.signal;
  };
  Object.defineProperty(window, Symbol.for("screen"), {value: Object.freeze({
    busy: () => running || holding(),
    // The page hears of its new size in the browser's next frame.
    resized: () => new Promise(done => real.frame(() => real.frame(() => {
      horizon = elapsed + span;
      dirty = true;
      kick();
      done('"resized"');
    }))),
  })});
  kick();
"""


def frozen(seconds: float) -> str:
    """Return the script for pages that get `seconds` of their own time."""
    script = "(() => {" + _CHANCE + _READINGS + _WAITING + _QUEUE + "})()"
    constants = {"EPOCH": _EPOCH, "PATIENCE": str(_PATIENCE), "SPAN": f"{seconds * 1000:g}"}
    for name, value in constants.items():
        script = script.replace(name, value)
    return script
