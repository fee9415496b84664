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
    const { tokens } = this.#cache;
    const mostColumns = Math.ceil(canvas.width / Math.round(3 * scale));
    const { counts, columns, perColumn } = profile(this.#cache, mostColumns);
    const byRange = this.#colourBy === "range" && this.#rangeColours(columns, perColumn);
    for (let column = 0; column < columns; ++column) {
      const first = column * perColumn;
      const end = Math.min(tokens, first + perColumn);
      const x = Math.round((first / tokens) * canvas.width);
      const width = Math.max(1, Math.round((end / tokens) * canvas.width) - x - Math.round(scale));
      const kept = counts.reduce((sum, of) => sum + of[column], 0);
      // The square root keeps a cache of a hundredth visible beside the recent tokens.
      const height = canvas.height * Math.sqrt(kept / (end - first));
      let top = canvas.height;
      reasons.forEach((reason, index) => {
        const share = counts[index][column];
        if (!share) return;
        const part = (height * share) / kept;
        context.fillStyle = byRange ? byRange[column] : reasonColour(reason);
        context.globalAlpha = this.#only && this.#only !== reason ? 0.15 : 1;
        context.fillRect(x, top - part, width, part);
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
