// The picture of one head's cache: which positions survive. A cell is a position, or a few of them
// when the sequence is long. Survivors are filled; evicted positions are faint dots.

import { aggregate, gridLayout, rangeScale, reasons, scaled } from "./aggregate.js";
import { rampColours, rampSteps, reasonColour } from "./palette.js";

const sizes = [16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3];
const labelWidth = 46;
const fadeMs = 900;
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Grid {
  #canvas;
  #cursor;
  #onPoint;
  #cache = null;
  #colourBy = "reason";
  #only = null;
  #layout = null;
  #cells = null;
  #look = null;
  #fading = new Map();
  #frame = 0;
  #pointed = -1;

  // `cursor` is an element that frames the pointed cell; `onPoint` hears of it.
  constructor(canvas, cursor, onPoint) {
    this.#canvas = canvas;
    this.#cursor = cursor;
    this.#onPoint = onPoint;
    new ResizeObserver(() => this.paint()).observe(canvas);
    document.addEventListener("themechange", () => this.paint());
    canvas.addEventListener("pointermove", (event) => this.#pointAt(event));
    canvas.addEventListener("pointerdown", (event) => this.#pointAt(event));
    canvas.addEventListener("pointerleave", () => {
      if (document.activeElement !== canvas) this.point(-1);
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => {
      if (this.#pointed < 0 && canvas.matches(":focus-visible")) this.point(this.#lastCell());
    });
    canvas.addEventListener("blur", () => this.point(-1));
  }

  // `continues`: the same head of the same sequence as before, later.
  show(cache, continues) {
    const before = this.#cells && { ...this.#cells, perCell: this.#layout.perCell };
    const look = this.#look;
    this.#cache = cache;
    this.#prepare();
    const comparable = continues && before && before.perCell === this.#layout?.perCell;
    if (!comparable) this.#fading.clear();
    else if (!stillness.matches) this.#startFading(before, look);
    this.#paintAll();
    this.point(Math.min(this.#pointed, this.#lastCell()));
  }

  colourBy(what) {
    this.#colourBy = what;
    this.paint();
  }

  // Shows the survivors of one reason and dims the others; null shows all.
  only(reason) {
    this.#only = reason;
    this.paint();
  }

  paint() {
    this.#fading.clear();
    this.#prepare();
    this.#paintAll();
    this.#placeCursor();
  }

  // Moves the cursor to a cell, or takes it away (-1).
  point(cell) {
    this.#pointed = cell;
    this.#placeCursor();
    this.#onPoint(cell < 0 ? null : this.#describe(cell));
  }

  #prepare() {
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(this.#canvas.clientWidth * scale);
    const height = Math.round(this.#canvas.clientHeight * scale);
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#layout = this.#cells = null;
    if (!this.#cache?.tokens || width === 0 || height === 0) return;
    const layout = gridLayout(
      this.#cache.tokens,
      width - labelWidth * scale,
      height,
      sizes.map((size) => Math.round(size * scale)),
    );
    layout.scale = scale;
    layout.used = Math.ceil(this.#cache.tokens / layout.perCell);
    // What rows of a round length leave over goes to the labels: the right edge is aligned.
    layout.left = width - layout.columns * layout.size;
    layout.gap = layout.size >= 5 * scale ? Math.max(1, Math.round(layout.size / 8)) : 0;
    this.#layout = layout;
    this.#cells = aggregate(this.#cache, layout.used, layout.perCell);
    this.#look = this.#colours();
  }

  // -> cell => [colour, alpha], or null for a cell without survivors.
  #colours() {
    const { kept, range, reason } = this.#cells;
    const { perCell } = this.#layout;
    const ramp = rampColours();
    const scale = rangeScale(this.#cache.ranges);
    const byReason = reasons.map((name) => reasonColour(name));
    const only = reasons.indexOf(this.#only);
    return (cell) => {
      if (!kept[cell]) return null;
      const colour =
        this.#colourBy === "reason"
          ? byReason[reason[cell]]
          : ramp[Math.round(scaled(range[cell], scale) * (rampSteps - 1))];
      if (only >= 0 && reason[cell] !== only) return [colour, 0.15];
      return [colour, perCell === 1 ? 1 : 0.55 + (0.45 * kept[cell]) / perCell];
    };
  }

  #rectangle(cell) {
    const { columns, size, left } = this.#layout;
    return [left + (cell % columns) * size, Math.floor(cell / columns) * size, size];
  }

  #paintAll() {
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#layout) return;
    this.#paintLabels(context);
    const { used } = this.#layout;
    context.fillStyle = getComputedStyle(this.#canvas).color;
    context.globalAlpha = 0.16;
    for (let cell = 0; cell < used; ++cell) {
      if (!this.#cells.kept[cell]) this.#dot(context, cell);
    }
    for (let cell = 0; cell < used; ++cell) this.#fill(context, cell, this.#look(cell));
    context.globalAlpha = 1;
  }

  #paintLabels(context) {
    const { columns, size, perCell, used, left, scale } = this.#layout;
    const rows = Math.ceil(used / columns);
    const step = [1, 2, 5, 10, 20, 50].find((n) => n * size >= 15 * scale);
    context.fillStyle = getComputedStyle(this.#canvas).color;
    context.globalAlpha = 0.75;
    context.font = `${10.5 * scale}px ${getComputedStyle(this.#canvas).fontFamily}`;
    context.textAlign = "right";
    context.textBaseline = "top";
    for (let row = 0; row < rows; row += step) {
      const text = (row * columns * perCell).toLocaleString("en");
      context.fillText(text, left - 6 * scale, row * size);
    }
  }

  #dot(context, cell) {
    const [x, y, size] = this.#rectangle(cell);
    const dot = Math.max(1, Math.round(size / 3));
    const inset = Math.floor((size - this.#layout.gap - dot) / 2);
    context.fillRect(x + inset, y + inset, dot, dot);
  }

  #fill(context, cell, look) {
    if (!look) return;
    const [x, y, size] = this.#rectangle(cell);
    const side = size - this.#layout.gap;
    [context.fillStyle, context.globalAlpha] = look;
    context.fillRect(x, y, side, side);
  }

  #startFading(before, look) {
    const now = performance.now();
    for (let cell = 0; cell < before.kept.length; ++cell) {
      if (before.kept[cell] > this.#cells.kept[cell]) {
        this.#fading.set(cell, { look: look(cell), since: now });
      }
    }
    if (this.#fading.size > 0 && !this.#frame) this.#nextFrame();
  }

  #nextFrame() {
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      const context = this.#canvas.getContext("2d");
      const plain = getComputedStyle(this.#canvas).color;
      for (const [cell, { look, since }] of this.#fading) {
        const left = 1 - (now - since) / fadeMs;
        const [x, y, size] = this.#rectangle(cell);
        context.clearRect(x, y, size, size);
        if (this.#cells.kept[cell]) {
          this.#fill(context, cell, this.#look(cell));
        } else {
          context.fillStyle = plain;
          context.globalAlpha = 0.16;
          this.#dot(context, cell);
        }
        if (left > 0) this.#fill(context, cell, [look[0], look[1] * Math.min(1, left)]);
        else this.#fading.delete(cell);
      }
      context.globalAlpha = 1;
      if (this.#fading.size > 0) this.#nextFrame();
    });
  }

  #lastCell() {
    return this.#layout ? this.#layout.used - 1 : -1;
  }

  #placeCursor() {
    const visible = this.#pointed >= 0 && this.#layout && this.#pointed < this.#layout.used;
    this.#cursor.hidden = !visible;
    if (!visible) return;
    const [x, y, size] = this.#rectangle(this.#pointed).map((n) => n / this.#layout.scale);
    const gap = this.#layout.gap / this.#layout.scale;
    this.#cursor.style.transform = `translate(${x}px, ${y}px)`;
    this.#cursor.style.width = this.#cursor.style.height = `${size - gap}px`;
  }

  #pointAt(event) {
    if (!this.#layout) return;
    const { columns, size, left, scale, used } = this.#layout;
    const column = Math.floor((event.offsetX * scale - left) / size);
    const cell = Math.floor((event.offsetY * scale) / size) * columns + column;
    this.point(column >= 0 && column < columns && cell < used ? cell : -1);
  }

  #key(event) {
    if (!this.#layout) return;
    const last = this.#lastCell();
    const { columns } = this.#layout;
    const moves = {
      ArrowLeft: this.#pointed - 1,
      ArrowRight: this.#pointed + 1,
      ArrowUp: this.#pointed - columns,
      ArrowDown: this.#pointed + columns,
      PageUp: this.#pointed - 10 * columns,
      PageDown: this.#pointed + 10 * columns,
      Home: 0,
      End: last,
    };
    if (event.key === "Escape") this.point(-1);
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.point(Math.max(0, Math.min(last, moves[event.key])));
  }

  #describe(cell) {
    const { perCell } = this.#layout;
    const first = cell * perCell;
    const last = Math.min(first + perCell, this.#cache.tokens) - 1;
    return {
      first,
      last,
      kept: this.#cells.kept[cell],
      range: this.#cells.range[cell],
      reason: reasons[this.#cells.reason[cell]],
    };
  }
}
