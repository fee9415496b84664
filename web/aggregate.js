// From token positions to what a canvas can show: a cell stands for one or more positions.

// The reasons a row is kept for, in the order of the legend and of priority within a cell.
export const reasons = ["sink", "pinned", "protected", "drawn", "recent"];

// A grid read like text, rows of a round number of cells, cells of at least the largest of `sizes`
// (device pixels, descending) at which the sequence fits. So it changes only when the sequence
// outgrows it: the picture must not jump at each token. -> {columns, size, perCell}
export function gridLayout(tokens, width, height, sizes) {
  let layout;
  for (const least of sizes) {
    const columns = Math.max(10, Math.floor(width / least / 10) * 10);
    const size = Math.max(1, Math.floor(width / columns));
    const cells = columns * Math.max(1, Math.floor(height / size));
    layout = { columns, size, perCell: 1, cells };
    if (cells >= tokens) break;
  }
  const steps = [2, 2.5, 2];
  for (let i = 0; layout.cells * layout.perCell < tokens; ++i) layout.perCell *= steps[i % 3];
  return layout;
}

// Per cell: how many of its positions survive, the widest range, and the reason that comes first.
export function aggregate(cache, cells, perCell) {
  const kept = new Uint32Array(cells);
  const range = new Float32Array(cells).fill(NaN);
  const reason = new Int8Array(cells).fill(-1);
  for (let i = 0; i < cache.positions.length; ++i) {
    const cell = Math.floor(cache.positions[i] / perCell);
    if (cell >= cells) continue;
    ++kept[cell];
    // An infinite range arrives as null.
    const value = cache.ranges[i] ?? Infinity;
    if (!(range[cell] >= value)) range[cell] = value;
    const index = reasons.indexOf(cache.reasons[i]);
    if (index >= 0 && (reason[cell] < 0 || index < reason[cell])) reason[cell] = index;
  }
  return { kept, range, reason };
}

// Per column: how many survivors each reason has. A column is a whole number of positions: were it
// one and a half, even stretches would look like combs.
export function profile(cache, mostColumns) {
  const perColumn = Math.max(1, Math.ceil(cache.tokens / mostColumns));
  const columns = Math.ceil(cache.tokens / perColumn);
  const counts = reasons.map(() => new Uint32Array(columns));
  cache.positions.forEach((position, i) => {
    const index = reasons.indexOf(cache.reasons[i]);
    if (index >= 0) ++counts[index][Math.floor(position / perColumn)];
  });
  return { counts, columns, perColumn };
}

export function countReasons(cache) {
  const counts = Object.fromEntries(reasons.map((reason) => [reason, 0]));
  for (const reason of cache.reasons) if (reason in counts) ++counts[reason];
  return counts;
}

// The ends of the colour ramp: outliers are the point of the method, but one of them must not
// press all others into one colour.
export function rangeScale(ranges) {
  const finite = ranges.filter((range) => Number.isFinite(range)).sort((a, b) => a - b);
  if (finite.length === 0) return { low: 0, high: 1 };
  const low = finite[Math.floor(0.02 * (finite.length - 1))];
  const high = finite[Math.ceil(0.98 * (finite.length - 1))];
  return { low, high: high > low ? high : low + 1 };
}

export const scaled = (range, { low, high }) =>
  Math.min(1, Math.max(0, (range - low) / (high - low)));
