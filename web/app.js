// Puts the page together.

import { Chat } from "./chat.js";
import { make } from "./message.js";
import { Observatory } from "./observatory.js";
import { Settings } from "./settings.js";
import { setUpTabs } from "./tabs.js";

// Of the kinds that the model which comes with vase was trained on; any reasoning model will do.
const examples = [
  `Run this program. Values stay modulo 100 (keep the last two digits; below zero, add 100).
Start: a = 64, b = 59, c = 71
Loop 1, 5 times: c += b; a += b; then print c
What is the sum of all printed values, modulo 100?`,
  `Some friends each hold one thing: James the bell, Rose the boot, Robert the lamp, Sam the \
medal. In the green game these trade: Rose-Sam, James-Sam, Rose-Robert. In the silver game these \
trade: Rose-Robert, Rose-James, James-Sam. They play green, silver and then from the front again, \
4 games in all. Who holds at the end what Sam held after game 2?`,
  `One-way roads lead from each town to others.
From Miami: Tehran.
From Tehran: Oslo, Madrid.
From Lisbon: Miami.
From Boston: Oslo, Delhi, Madrid.
From Oslo: Delhi, Boston.
From Delhi: Boston, Lisbon.
From Madrid: Miami, Tehran.
Trips: 1 Tehran to Miami, 2 Delhi to Madrid, 3 Madrid to Oslo, 4 Boston to Miami, 5 Miami to Lisbon.
Find the smallest number of roads for every trip; a trip that cannot be made counts 0. What is the \
total?`,
];

setUpTabs();
// Inside another program (vase exec) there is a cache to watch, and nobody to talk to.
const observatory = new Observatory((status) => {
  document.body.classList.toggle("watch-only", status.chat === false);
});
const settings = new Settings(() => observatory.refresh());
const chat = new Chat(settings, (running) => observatory.expect(running));

for (const example of examples) {
  const button = make("button", "plain");
  button.type = "button";
  button.append(make("span", "", example));
  button.addEventListener("click", () => chat.ask(example));
  const item = make("li");
  item.append(button);
  document.getElementById("examples").append(item);
}
