// Watches the server: asks for its state twice a second while it works, and for the rows of one
// head whenever they may have changed.

import { ApiError, getJson } from "./api.js";
import { countReasons, rangeScale, reasons } from "./aggregate.js";
import { count, measure } from "./format.js";
import { Grid } from "./grid.js";
import { rampStops, reasonColour } from "./palette.js";
import { Profile } from "./profile.js";
import { showMemory, showServer, showSlot, showTrouble } from "./status.js";

const busyMs = 500;
const idleMs = 2500;
const element = (id) => document.getElementById(id);

const words = {
  sink: "the first tokens of the sequence, on which attention rests",
  pinned: "part of the prompt",
  protected: "its value range is among the largest",
  drawn: "chosen by the policy, by lot or by rank",
  recent: "no eviction has had to decide about it yet",
};

export class Observatory {
  #grid = new Grid(element("grid"), element("cursor"), (point) => this.#tell(point));
  #profile = new Profile(element("profile"));
  #buttons = new Map();
  #only = null;
  #status = null;
  #slot = null;
  #cache = null;
  #shown = "";
  #timer = 0;
  #asking = false;
  #again = false;
  #expecting = false;
  #told;

  // `told` gets each status of the server.
  constructor(told = () => {}) {
    this.#told = told;
    for (const reason of reasons) this.#addReason(reason);
    this.#colourLegend();
    document.addEventListener("themechange", () => this.#colourLegend());
    for (const id of ["slot", "layer", "head"]) {
      element(id).addEventListener("input", () => {
        this.#labelSliders();
        this.refresh();
      });
    }
    for (const radio of document.querySelectorAll("input[name=colour]")) {
      radio.addEventListener("change", () => this.#colourBy(radio.value));
    }
    document.addEventListener("visibilitychange", () => this.refresh());
    this.refresh();
  }

  // Says whether this page has a request under way: the server may not have begun with it yet.
  expect(activity) {
    this.#expecting = activity;
    this.refresh();
  }

  // Asks now; a question under way is followed by another.
  async refresh() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    this.#again = false;
    const began = performance.now();
    try {
      this.#take(await getJson("vase/status"));
      await this.#takeCache();
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      showTrouble(error.message);
    }
    this.#asking = false;
    if (this.#again) return this.refresh();
    // A slow server is not to be kept busy by being watched.
    const busy = this.#expecting || this.#status?.slots.some((slot) => slot.busy);
    const pause = busy ? busyMs : idleMs;
    const wait = Math.max(pause, 3 * (performance.now() - began));
    this.#timer = setTimeout(() => this.refresh(), wait);
  }

  #take(status) {
    this.#status = status;
    this.#told(status);
    showServer(status);
    this.#offerSlots(status.slots);
    this.#slot = this.#chosenSlot(status.slots);
    element("layer").max = Math.max(0, status.layers - 1);
    element("head").max = Math.max(0, status.heads - 1);
    this.#labelSliders();
    if (this.#slot) showSlot(this.#slot);
    showMemory(status.memory, status.prompt_cache);
  }

  async #takeCache() {
    const slot = this.#slot;
    if (this.#status.layers === 0) {
      element("empty").textContent = "This server keeps every row: there is nothing to watch.";
    }
    if (!slot || this.#status.layers === 0) return;
    const head = `slot=${slot.id}&layer=${element("layer").value}&head=${element("head").value}`;
    const version = `${head} ${slot.tokens} ${slot.evictions} ${slot.busy}`;
    if (version === this.#shown) return;
    const cache = await getJson(`vase/cache?${head}`);
    const before = this.#cache;
    const continues =
      this.#shown.startsWith(`${head} `) &&
      cache.tokens >= before.tokens &&
      cache.evictions >= before.evictions;
    this.#shown = version;
    this.#cache = cache;
    element("empty").hidden = cache.tokens > 0;
    element("grid").setAttribute("aria-valuemax", Math.max(0, cache.tokens - 1));
    this.#grid.show(cache, continues);
    this.#profile.show(cache);
    this.#countLegend();
  }

  #labelSliders() {
    for (const id of ["layer", "head"]) {
      element(`${id}-value`).textContent = `${element(id).value} / ${element(id).max}`;
    }
  }

  #offerSlots(slots) {
    const select = element("slot");
    while (select.options.length > slots.length + 1) select.lastElementChild.remove();
    while (select.options.length < slots.length + 1) {
      const { id } = slots[select.options.length - 1];
      select.append(new Option(String(id), String(id)));
    }
  }

  // "Busiest" stays with the slot it last followed once nothing runs.
  #chosenSlot(slots) {
    const choice = element("slot").value;
    if (choice !== "auto") return slots.find((slot) => String(slot.id) === choice) ?? slots[0];
    const before = slots.find((slot) => slot.id === this.#slot?.id);
    if (before?.busy) return before;
    const busy = slots.filter((slot) => slot.busy);
    if (busy.length > 0) return busy.reduce((a, b) => (b.tokens > a.tokens ? b : a));
    return before ?? slots.reduce((a, b) => (b.tokens > a.tokens ? b : a), slots[0]);
  }

  #colourBy(what) {
    this.#grid.colourBy(what);
    this.#profile.colourBy(what);
    const byRange = what === "range";
    element("ramp").hidden = !byRange;
    element("legend-hint").hidden = byRange;
    element("reasons").classList.toggle("plain-swatches", byRange);
  }

  #addReason(reason) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.reason = reason;
    button.setAttribute("aria-pressed", "false");
    button.title = `${reason}: ${words[reason]}`;
    const swatch = document.createElement("i");
    const number = document.createElement("b");
    number.textContent = "0";
    button.append(swatch, reason, " ", number);
    button.addEventListener("click", () => {
      this.#only = this.#only === reason ? null : reason;
      for (const [name, { button: each }] of this.#buttons) {
        each.setAttribute("aria-pressed", String(name === this.#only));
      }
      this.#grid.only(this.#only);
      this.#profile.only(this.#only);
    });
    element("reasons").append(button);
    this.#buttons.set(reason, { button, swatch, number });
  }

  #colourLegend() {
    for (const [reason, { swatch }] of this.#buttons) {
      swatch.style.backgroundColor = reasonColour(reason);
    }
    element("ramp-bar").style.backgroundImage = `linear-gradient(to right, ${rampStops().join()})`;
  }

  #countLegend() {
    const counts = countReasons(this.#cache);
    for (const [reason, { number }] of this.#buttons) number.textContent = count(counts[reason]);
    const { low, high } = rangeScale(this.#cache.ranges);
    element("ramp-low").textContent = measure(low);
    element("ramp-high").textContent = `${measure(high)} and more`;
  }

  #tell(point) {
    const text = point ? describe(point) : this.#summary();
    element("point").textContent = text;
    element("grid").setAttribute("aria-valuenow", point?.first ?? 0);
    element("grid").setAttribute("aria-valuetext", text);
  }

  #summary() {
    const { tokens, positions } = this.#cache ?? { tokens: 0, positions: [] };
    if (tokens === 0) return "Each token that is read or written appears here.";
    const kept = positions.length;
    const share = ((100 * kept) / tokens).toPrecision(2);
    const survivors =
      kept === tokens
        ? `All ${count(tokens)} positions are in the cache.`
        : `${count(kept)} of ${count(tokens)} positions survive (${share}%).`;
    return `${survivors} Point at one to read it.`;
  }
}

function describe({ first, last, kept, range, reason }) {
  const width = Number.isFinite(range) ? measure(range) : "infinite";
  if (first < last) {
    const where = `Positions ${count(first)} to ${count(last)}`;
    return kept
      ? `${where}: ${kept} of ${last - first + 1} kept, widest value range ${width}, ${reason}`
      : `${where}: evicted`;
  }
  const where = `Position ${count(first)}`;
  return kept
    ? `${where}: kept, ${reason} (${words[reason]}), value range ${width}`
    : `${where}: evicted`;
}
