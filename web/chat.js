// The conversation: sends it, shows the answer as it comes, keeps it over a reload.

import { ApiError, streamChat } from "./api.js";
import { count, plural, rate } from "./format.js";
import { MessageView } from "./message.js";
import { load, save } from "./storage.js";

const keyName = "vase.conversation";
const element = (id) => document.getElementById(id);

export class Chat {
  #settings;
  #onActivity;
  #messages = [];
  #views = [];
  #running = null;
  #savedAt = 0;
  #left = false;

  // `onActivity` is called when a request starts (true) and ends (false).
  constructor(settings, onActivity) {
    this.#settings = settings;
    this.#onActivity = onActivity;
    for (const message of load("sessionStorage", keyName) ?? []) {
      if (message.state === "streaming") {
        Object.assign(message, { state: "done", note: "Cut short by a reload." });
      }
      message.note ??= message.failure;
      this.#add(message);
    }
    this.#wire();
    this.#showState();
    this.#scroll();
  }

  #wire() {
    const prompt = element("prompt");
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask(prompt.value);
    });
    prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.ask(prompt.value);
    });
    element("stop").addEventListener("click", () => this.#running?.abort());
    element("clear").addEventListener("click", () => this.#clear());
    // A page that is left sees its request fail, which is no failure: what came is kept as it is.
    addEventListener("pagehide", () => {
      this.#save();
      this.#left = true;
    });
    addEventListener("pageshow", () => {
      this.#left = false;
    });
  }

  ask(text) {
    if (this.#running || text.trim() === "") return;
    element("prompt").value = "";
    this.#add({ role: "user", content: text.trim() });
    this.#answer();
  }

  #add(message) {
    const view = new MessageView(message);
    this.#messages.push(message);
    this.#views.push(view);
    element("messages").append(view.element);
    return view;
  }

  #removeLast() {
    this.#messages.pop();
    this.#views.pop().element.remove();
  }

  #clear() {
    this.#running?.abort();
    this.#running = null;
    while (this.#messages.length > 0) this.#removeLast();
    this.#save();
    this.#showState();
    element("prompt").focus();
  }

  async #answer() {
    // What failed before can only be tried again while it is the newest.
    for (const button of document.querySelectorAll(".failure button")) button.remove();
    const request = { ...this.#settings.fields(), messages: this.#history() };
    const message = {
      role: "assistant",
      content: "",
      reasoning: "",
      reasoningTokens: 0,
      thinkingSeconds: 0,
      state: "streaming",
    };
    const view = this.#add(message);
    const running = new AbortController();
    this.#running = running;
    this.#showState();
    this.#scroll();
    announce("Waiting for the answer");
    this.#onActivity(true);
    const run = new Run(message, () => this.#draw(view));
    try {
      for await (const chunk of streamChat(request, running.signal)) run.take(chunk);
      message.note = run.summary();
      announce("Answer complete");
    } catch (error) {
      if (error.name === "AbortError") {
        message.note = run.summary("Stopped");
        announce("Stopped");
      } else {
        message.failure = error.message;
        this.#fail(view, error);
      }
    }
    message.state = "done";
    run.end();
    view.update();
    if (this.#running === running) this.#running = null;
    this.#save();
    this.#showState();
    this.#scroll();
    this.#onActivity(this.#running !== null);
  }

  // Earlier reasoning stays out, as chat templates want it.
  #history() {
    const { system } = this.#settings;
    return [
      ...(system ? [{ role: "system", content: system }] : []),
      ...this.#messages
        .filter(({ role, content }) => role === "user" || content)
        .map(({ role, content }) => ({ role, content })),
    ];
  }

  #fail(view, error) {
    if (!(error instanceof ApiError)) console.error(error);
    const retry = () => {
      if (this.#running) return;
      this.#removeLast();
      this.#answer();
    };
    const actions = [["Try again", retry]];
    if (error.status === 401) {
      actions.unshift(["Enter the key", () => this.#settings.open("api_key")]);
    }
    const text = view.fail(error.message, actions);
    if (error.retryAfter > 0) countDown(text, error);
  }

  // At most once a frame, however fast tokens come.
  #draw(view) {
    const stuck = this.#atEnd();
    view.update();
    if (stuck) this.#scroll();
    if (performance.now() - this.#savedAt > 1000) this.#save();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = element("messages");
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  #scroll() {
    element("messages").scrollTop = element("messages").scrollHeight;
  }

  #save() {
    if (this.#left) return;
    this.#savedAt = performance.now();
    if (save("sessionStorage", keyName, this.#messages)) return;
    // Storage is small: the chains of thought go first.
    const shortened = this.#messages.map((message) => ({ ...message, reasoning: "" }));
    save("sessionStorage", keyName, shortened);
  }

  #showState() {
    const running = this.#running !== null;
    element("welcome").hidden = this.#messages.length > 0;
    element("send").hidden = running;
    element("stop").hidden = !running;
    element("clear").disabled = this.#messages.length === 0;
  }
}

// One answer on its way: puts chunks into the message and measures.
class Run {
  #message;
  #draw;
  #frame = 0;
  #began = performance.now();
  #first = 0;
  #tokens = 0;
  #final = {};

  constructor(message, draw) {
    this.#message = message;
    this.#draw = draw;
  }

  take(chunk) {
    if (chunk.usage) this.#final.usage = chunk.usage;
    if (chunk.vase) this.#final.vase = chunk.vase;
    const choice = chunk.choices?.[0];
    if (choice?.finish_reason) this.#final.reason = choice.finish_reason;
    const { reasoning_content: reasoning, content } = choice?.delta ?? {};
    if (!reasoning && !content) return;
    this.#first ||= performance.now();
    ++this.#tokens;
    if (reasoning) {
      this.#message.reasoning += reasoning;
      ++this.#message.reasoningTokens;
      this.#message.thinkingSeconds = (performance.now() - this.#began) / 1000;
    }
    if (content) this.#message.content += content;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  end() {
    cancelAnimationFrame(this.#frame);
  }

  // A chunk is a token, or nearly; the server's own numbers are better where they came.
  summary(ending) {
    const { usage, vase, reason } = this.#final;
    const tokens = usage?.completion_tokens ?? this.#tokens;
    const thought = usage?.completion_tokens_details?.reasoning_tokens;
    if (thought > 0) this.#message.reasoningTokens = thought;
    const measured = (performance.now() - this.#first) / 1000;
    const elapsed = vase?.choices?.[0]?.generate_seconds ?? measured;
    const parts = [plural(tokens, "token")];
    // A rate needs some time to mean anything.
    if (elapsed > 0.2) parts.push(`${rate(tokens / elapsed)} tokens/s`);
    if (vase?.evictions !== undefined) parts.push(plural(vase.evictions, "eviction"));
    if (vase?.policy) parts.push(`${vase.policy}, budget ${count(vase.budget ?? 0)}`);
    if (reason === "length") parts.push("length limit reached");
    return [...(ending ? [ending] : []), ...parts].join(" · ");
  }
}

function countDown(text, { message, retryAfter }) {
  const until = Date.now() + 1000 * retryAfter;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    text.textContent = `${message} Try again ${left > 0 ? `in ${left} s` : "now"}.`;
    if (left > 0 && text.isConnected) setTimeout(tick, 250);
  };
  tick();
}

const announce = (words) => {
  element("announce").textContent = words;
};
