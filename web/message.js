// How one message of the conversation looks. A message is {role, content} and, of an answer,
// {reasoning, thinkingSeconds, reasoningTokens, note, state}.

import { plural, seconds } from "./format.js";
import { MarkdownView } from "./markdown.js";

export class MessageView {
  #message;
  #markdown;
  #reasoning = null;
  #note;

  constructor(message) {
    this.#message = message;
    this.element = make("article", `message ${message.role}`);
    this.element.append(make("h2", "unseen", message.role === "user" ? "You" : "Answer"));
    this.body = make("div", "body");
    this.#note = make("p", "note");
    this.element.append(this.body, this.#note);
    if (message.role === "user") this.body.textContent = message.content;
    else this.#markdown = new MarkdownView(this.body);
    this.update();
  }

  update() {
    const { role, content, reasoning, note, state } = this.#message;
    this.element.setAttribute("aria-busy", String(state === "streaming"));
    this.element.classList.toggle("streaming", state === "streaming");
    if (role === "assistant") this.#markdown.update(content);
    if (reasoning) {
      this.#reasoning ??= new ReasoningView(this.element, this.body);
      this.#reasoning.update(this.#message);
    }
    this.#note.textContent = note ?? "";
    this.#note.hidden = !note;
  }

  // Something went wrong: says what, and offers what can be done ([label, action] pairs).
  fail(text, actions) {
    const box = make("div", "failure");
    box.setAttribute("role", "alert");
    box.append(make("p", "", text));
    for (const [label, action] of actions) {
      const button = make("button", "plain", label);
      button.type = "button";
      button.addEventListener("click", action);
      box.append(button);
    }
    this.element.append(box);
    return box.firstChild;
  }
}

// The chain of thought, open while it grows and folded by itself once the answer begins.
class ReasoningView {
  #details = make("details", "reasoning");
  #summary = make("summary");
  #text = make("div", "thoughts");
  #length = 0;
  #folded = false;

  constructor(parent, before) {
    this.#details.open = true;
    this.#text.tabIndex = 0;
    this.#text.setAttribute("aria-label", "Reasoning");
    this.#text.setAttribute("role", "group");
    this.#details.append(this.#summary, this.#text);
    parent.insertBefore(this.#details, before);
  }

  update({ reasoning, thinkingSeconds, reasoningTokens, content, state }) {
    const thinking = state === "streaming" && !content;
    const spent = `${seconds(thinkingSeconds)} · ${plural(reasoningTokens, "token")}`;
    this.#summary.textContent = `${thinking ? "Thinking" : "Thought"} · ${spent}`;
    const atEnd =
      this.#text.scrollHeight - this.#text.scrollTop - this.#text.clientHeight < 30;
    this.#append(reasoning.slice(this.#length));
    this.#length = reasoning.length;
    if (thinking && atEnd) this.#text.scrollTop = this.#text.scrollHeight;
    // Once: whoever opens it again wants it open.
    if (!thinking && !this.#folded) {
      this.#details.open = false;
      this.#folded = true;
    }
  }

  // A line is an element, so that the browser lays out only the last one of a long chain anew.
  #append(text) {
    text.split("\n").forEach((part, index) => {
      if (index > 0 || !this.#text.lastChild) this.#text.append(make("div"));
      if (part) this.#text.lastChild.append(part);
    });
  }
}

export function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}
