// The strip above the grid: how much of each stretch of the sequence survives, oldest on the left.

import { aggregate, profile, rangeScale, reasons, scaled } from "./aggregate.js";
import { rampColours, rampSteps, reasonColour } from "./palette.js";

export class Profile {
  #canvas;
  #cache = null;
  #colourBy = "reason";
  #only = null;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.paint()).observe(canvas);
    document.addEventListener("themechange", () => this.paint());
  }

  show(cache) {
    this.#cache = cache;
    this.paint();
  }

  colourBy(what) {
    this.#colourBy = what;
    this.paint();
  }

  only(reason) {
    this.#only = reason;
    this.paint();
  }

  paint() {
    const canvas = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    if (!this.#cache?.tokens || canvas.width === 0) return;
    const context = canvas.getContext("2d");
    const columns = Math.min(Math.floor(canvas.width / Math.round(3 * scale)), this.#cache.tokens);
    const { counts, perColumn } = profile(this.#cache, columns);
    const byRange = this.#colourBy === "range" && this.#rangeColours(columns, perColumn);
    for (let column = 0; column < columns; ++column) {
      const x = Math.round((column * canvas.width) / columns);
      const width = Math.round(((column + 1) * canvas.width) / columns) - x;
      const bar = [x, Math.max(1, width - (width > 2 * scale ? Math.round(scale) : 0))];
      const kept = counts.reduce((sum, of) => sum + of[column], 0);
      // The square root keeps a cache of a hundredth visible beside the recent tokens.
      const height = canvas.height * Math.sqrt(Math.min(1, kept / perColumn));
      let top = canvas.height;
      reasons.forEach((reason, index) => {
        const share = counts[index][column];
        if (!share) return;
        const part = (height * share) / kept;
        context.fillStyle = byRange ? byRange[column] : reasonColour(reason);
        context.globalAlpha = this.#only && this.#only !== reason ? 0.15 : 1;
        context.fillRect(bar[0], top - part, bar[1], part);
        top -= part;
      });
    }
  }

  #rangeColours(columns, perColumn) {
    const ramp = rampColours();
    const scale = rangeScale(this.#cache.ranges);
    const { range } = aggregate(this.#cache, columns, perColumn);
    return Array.from(range, (value) => ramp[Math.round(scaled(value, scale) * (rampSteps - 1))]);
  }
}
