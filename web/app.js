// Puts the page together.

import { Chat } from "./chat.js";
import { make } from "./message.js";
import { Observatory } from "./observatory.js";
import { Settings } from "./settings.js";
import { setUpTabs } from "./tabs.js";

const examples = [
  "A farmer has 17 sheep and buys 5 more each week. After how many weeks are there 52?",
  "Write down the first twenty prime numbers and add them up, step by step.",
  "What is the remainder of 3 to the power of 45 divided by 7? Think it through.",
];

setUpTabs();
const observatory = new Observatory();
const settings = new Settings(() => observatory.refresh());
const chat = new Chat(settings, (running) => observatory.expect(running));

for (const example of examples) {
  const button = make("button", "plain", example);
  button.type = "button";
  button.addEventListener("click", () => chat.ask(example));
  const item = make("li");
  item.append(button);
  document.getElementById("examples").append(item);
}
