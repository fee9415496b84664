// Server-sent events from a fetch body. EventSource cannot POST.

// Text in pieces of any size -> the data of each event that is complete.
export class SseParser {
  #rest = "";
  #data = [];

  push(text) {
    const events = [];
    this.#rest += text;
    // A "\r" at the end may be half of a "\r\n".
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line, events);
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length > 0) events.push(this.#data.join("\n"));
      this.#data = [];
    } else if (line.startsWith("data:")) {
      this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    }
    // Comments and other fields carry nothing for us.
  }
}

export async function* readEvents(body) {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // The consumer may leave early: the server must see that nobody reads.
    reader.cancel().catch(() => {});
  }
}
