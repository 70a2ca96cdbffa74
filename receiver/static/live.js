// A page that follows what happens, by Server-Sent Events. What it has to bear:
//
//   <main data-events="/api/jobs/job_1/events">   where the changes come from; /api/events for those of all jobs
//         data-about="job_1 ref"                  only changes of these jobs or refs count; without it, all do
//         data-updated="2026-…"                   of one job: when it last changed, for the page was made before it listens
//         data-every="5"                          seconds between two looks at the page, 1 if it does not say
//         data-beat="15"                          looks every so many seconds, also when nothing has happened
//         data-crowd="3"                          how many pages listen where this one was made
//   <… id="renders" data-island>                  is replaced by its newer self when something has happened
//   <… id="list" data-islands>                    its children, each with an id, come, go and are replaced one by one
//   <progress data-progress-of="job_1/2">         moves at once; key: job, job/render; so does [data-percent-of]
//   <progress … data-mean-of="job_1/" data-mean-from="0.4" data-mean-count="3">
//                                                 moves with those whose key begins like that
//   <… data-live>                                 says whether the page is up to date
//
// Islands come from the page itself, fetched anew: what it looks like is told once, by the server. Islands that are the
// same as before are left alone, so that a video goes on playing.

import { localise } from "./moments.js";
import { fetched } from "./parts.js";

const AGAIN_MS = 10_000;
const EACH_MS = 200; // what a page leaves to each of the others
const sources = new WeakMap(); // how an island came from the server, before scripts changed it

export function follow(main) {
  if (!main?.dataset.events) return;
  new Page(main).listen();
}

class Page {
  constructor(main) {
    this.main = main;
    this.address = "";
    this.timer = 0;
    this.looked = 0;
    remember(main);
    const beat = Number(main.dataset.beat) * 1000;
    if (beat) setInterval(() => this.address && this.soon(), beat);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.rest();
      else this.soon();
    });
  }

  /** A page that nobody sees hears nothing: browsers have few connections to a host, for all of its pages together. */
  rest() {
    this.source?.close();
    this.address = "";
    this.tell("");
  }

  /** Listen where the page says, which may be elsewhere than before, or nowhere any more. */
  listen() {
    const address = document.hidden ? "" : (this.main.dataset.events ?? "");
    if (address === this.address) return;
    this.address = address;
    this.source?.close();
    this.source = undefined;
    if (!address) return this.tell("");
    const source = new EventSource(address);
    this.source = source;
    source.addEventListener("open", () => {
      this.tell("Live");
      if (this.heard) this.soon(); // something may have happened in between
      this.heard = true;
    });
    source.addEventListener("job", (event) => {
      if (JSON.parse(event.data).updated_at !== this.main.dataset.updated) this.soon();
    });
    source.addEventListener("change", (event) => this.changed(JSON.parse(event.data)));
    source.addEventListener("reset", () => this.soon());
    source.addEventListener("end", () => this.soon());
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED || source !== this.source) return this.tell("Connecting …");
      // Refused for now, or told that there is nothing more to hear.
      this.address = "";
      this.tell("");
      setTimeout(() => this.soon(), AGAIN_MS);
    });
  }

  changed(change) {
    const about = this.main.dataset.about?.split(" ");
    if (about && change.event !== "erased" && !about.includes(change.id) && !about.includes(change.ref)) return;
    const owner = change.id ?? change.ref;
    if (change.progress !== null && change.progress !== undefined && !change.delivery) {
      progress(change.render ? `${owner}/${change.render}` : owner, change.progress);
      means();
    }
    if (change.event !== "progress") this.soon();
  }

  /** Look at the page again: now, or when the last look is long enough ago. */
  soon() {
    this.late = true;
    if (this.timer || document.hidden) return;
    const pause = (Number(this.main.dataset.every) || 1) * 1000;
    // All open pages hear of a change at once, and would look at once from then on. One alone need not wait.
    const later = Math.random() * Math.min(pause, (Number(this.main.dataset.crowd) || 0) * EACH_MS);
    this.timer = setTimeout(() => this.look(), Math.max(0, this.looked + pause - Date.now()) + later);
  }

  async look() {
    this.late = false;
    try {
      renew(this.main, (await fetched(location.href)).querySelector("main"));
      this.listen();
    } catch (error) {
      this.failed(error);
    }
    this.looked = Date.now();
    this.timer = 0;
    if (this.late) this.soon();
  }

  failed(error) {
    if (error.status === 404) {
      // What the page tells of was erased. Nothing more will come, and nothing on it leads anywhere.
      this.source?.close();
      this.tell("Gone");
      return;
    }
    this.tell("Connecting …");
    setTimeout(() => this.soon(), AGAIN_MS);
  }

  tell(words) {
    for (const place of this.main.querySelectorAll("[data-live]")) place.textContent = words;
  }
}

function progress(key, value) {
  for (const bar of document.querySelectorAll(`[data-progress-of=${quoted(key)}]`)) bar.value = value * 100;
  for (const text of document.querySelectorAll(`[data-percent-of=${quoted(key)}]`)) text.textContent = `${Math.round(value * 100)} %`;
}

/** What is settled has no bar any more, and counts as done. */
function means() {
  for (const bar of document.querySelectorAll("progress[data-mean-of]")) {
    const all = Number(bar.dataset.meanCount);
    const moving = [...document.querySelectorAll(`progress[data-progress-of^=${quoted(bar.dataset.meanOf)}]`)];
    const done = all - moving.length + moving.reduce((sum, each) => sum + each.value / 100, 0);
    const from = Number(bar.dataset.meanFrom);
    if (all) progress(bar.dataset.progressOf, from + (1 - from) * (done / all));
  }
}

const quoted = (text) => `"${CSS.escape(text)}"`;

function remember(root) {
  for (const island of root.querySelectorAll("[data-island], [data-islands] > *")) sources.set(island, island.outerHTML);
}

function renew(main, newer) {
  if (!newer) return;
  for (const name of ["events", "about", "updated", "every", "crowd"]) {
    if (name in newer.dataset) main.dataset[name] = newer.dataset[name];
    else delete main.dataset[name];
  }
  for (const island of main.querySelectorAll("[data-island]")) {
    const next = newer.querySelector(`#${CSS.escape(island.id)}`);
    if (next) swap(island, next);
  }
  for (const list of main.querySelectorAll("[data-islands]")) {
    const next = newer.querySelector(`#${CSS.escape(list.id)}`);
    if (next) merge(list, next);
  }
}

/** Make the children of list those of next, in its order, without touching those that are the same. */
function merge(list, next) {
  const known = new Map([...list.children].map((child) => [child.id, child]));
  let place = list.firstElementChild;
  for (const child of [...next.children]) {
    const old = known.get(child.id);
    known.delete(child.id);
    const now = old ? swap(old, child) : take(child);
    if (old && place === old) place = now;
    if (now === place) place = place.nextElementSibling;
    else list.insertBefore(now, place);
  }
  for (const gone of known.values()) gone.remove();
}

function swap(island, next) {
  if (sources.get(island) === next.outerHTML) return island;
  const focused = island.contains(document.activeElement) ? document.activeElement : null;
  const open = new Set([...island.querySelectorAll("details[open][id]")].map((details) => details.id));
  const taken = take(next);
  island.replaceWith(taken);
  for (const details of taken.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = true;
  if (focused) {
    const same = focused.id ? taken.querySelector(`#${CSS.escape(focused.id)}`) : null;
    const link = focused.href ? [...taken.querySelectorAll("a")].find((other) => other.href === focused.href) : null;
    (same ?? link)?.focus({ preventScroll: true });
  }
  return taken;
}

function take(next) {
  const taken = document.importNode(next, true);
  sources.set(taken, next.outerHTML);
  localise(taken);
  return taken;
}
