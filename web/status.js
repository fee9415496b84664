// The numbers and bars beside the picture.

import { bytes, count, measure, plural, rate } from "./format.js";

const element = (id) => document.getElementById(id);

// Setting the same text again would make screen readers repeat it.
function write(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

const percent = (part, whole) => `${whole > 0 ? Math.min(100, (100 * part) / whole) : 0}%`;

export function showServer(status) {
  const busy = status.slots.filter((slot) => slot.busy).length;
  const parts = [status.model, `${busy} of ${plural(status.slots.length, "slot")} busy`];
  if (status.queue > 0) parts.push(`${status.queue} waiting`);
  write("server", parts.join(" · "));
  element("server").dataset.state = busy > 0 ? "busy" : "idle";
}

export function showTrouble(message) {
  write("server", message);
  element("server").dataset.state = "trouble";
}

export function showSlot(slot) {
  write("n-tokens", count(slot.tokens));
  write("n-rows", count(slot.rows));
  write("n-evictions", count(slot.evictions));
  write("n-speed", rate(slot.tokens_per_second));

  const fill = element("fill");
  fill.setAttribute("aria-valuenow", slot.rows);
  fill.setAttribute("aria-valuemax", slot.capacity);
  fill.querySelector("i").style.width = percent(slot.rows, slot.capacity);
  const mark = fill.querySelector("b");
  mark.hidden = !(slot.budget > 0 && slot.budget < slot.capacity);
  mark.style.left = percent(slot.budget, slot.capacity);
  const doing = {
    idle: "idle",
    prompt: "reading the prompt",
    generating: "generating",
    rereading: "reading the text before a loop again",
  };
  write(
    "fill-words",
    `Slot ${slot.id}: ${count(slot.rows)} of ${plural(slot.capacity, "row")} a head, ` +
      `budget ${count(slot.budget)}, policy ${slot.policy}, ${doing[slot.state] ?? slot.state}` +
      (slot.cached > 0 ? `, ${plural(slot.cached, "token")} of the prompt not read again` : ""),
  );
}

export function showMemory(memory, aside) {
  const now = memory.kv + memory.queries;
  const most = Math.max(now, memory.full_cache);
  element("memory-now").style.width = percent(now, most);
  element("memory-full").style.width = percent(memory.full_cache, most);
  write("memory-now-words", bytes(now));
  write("memory-full-words", bytes(memory.full_cache));
  const times = memory.full_cache / now;
  const comparison =
    times > 1
      ? `A full cache would hold ${measure(times)} times as much and keep growing. `
      : "A full cache would be smaller so far, but it grows with the text. This one does not. ";
  // Another program's memory was not planned by vase.
  const plan =
    memory.total === undefined
      ? `Weights take ${bytes(memory.weights)}`
      : `With weights ${bytes(memory.weights)} and compute ${bytes(memory.compute)} the plan is ` +
        bytes(memory.total);
  write(
    "memory-words",
    `${comparison}${plan}; the process holds ${bytes(memory.resident)}.${asideWords(aside)}`,
  );
}

// Another program, or a server that puts nothing aside, has nothing to say.
function asideWords(aside) {
  if (!aside || aside.limit === 0) return "";
  return (
    ` ${plural(aside.entries, "prompt")} put aside take ${bytes(aside.bytes)} ` +
    `of at most ${bytes(aside.limit)}.`
  );
}
