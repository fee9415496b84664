// A small Markdown: paragraphs, headings, lists, code, bold, emphasis. It makes DOM nodes and sets
// text as text, so what a model writes can never become markup.

const fence = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const heading = /^(#{1,6})\s+(.*?)\s*#*$/;
const item = /^( *)(?:[-*+]|(\d{1,9})[.)])\s+/;

// -> [{kind, lines, language, start, ordered}]; a list's lines are those of its items.
export function parseBlocks(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    const opening = fence.exec(line);
    let end = at + 1;
    if (line.trim() === "") {
      at = end;
      continue;
    }
    if (opening) {
      while (end < lines.length && !closes(lines[end], opening[1])) ++end;
      // An answer in progress has no closing fence yet.
      blocks.push({ kind: "code", language: opening[2], lines: lines.slice(at + 1, end) });
      ++end;
    } else if (heading.test(line)) {
      blocks.push({ kind: "heading", lines: [line] });
    } else if (item.test(line)) {
      end = listEnd(lines, at);
      blocks.push(list(lines.slice(at, end)));
    } else {
      while (end < lines.length && !interrupts(lines[end])) ++end;
      blocks.push({ kind: "paragraph", lines: lines.slice(at, end) });
    }
    at = end;
  }
  return blocks;
}

const closes = (line, opening) =>
  line.trim().length >= opening.length && line.trim() === opening[0].repeat(line.trim().length);

const interrupts = (line) =>
  line.trim() === "" || fence.test(line) || heading.test(line) || item.test(line);

const indent = (line) => line.length - line.trimStart().length;

// A list goes on over indented lines, and over blank ones if an item or an indented line follows.
function listEnd(lines, start) {
  const first = item.exec(lines[start]);
  let end = start + 1;
  for (let at = end; at < lines.length; ++at) {
    const line = lines[at];
    if (line.trim() === "") continue;
    const marker = item.exec(line);
    const sibling = marker && marker[1].length <= first[1].length;
    if (sibling && (marker[2] === undefined) !== (first[2] === undefined)) break;
    if (!sibling && indent(line) <= first[1].length && (at > end || interrupts(line))) break;
    end = at + 1;
  }
  return end;
}

function list(lines) {
  const first = item.exec(lines[0]);
  const items = [];
  for (const line of lines) {
    const marker = item.exec(line);
    if (marker && marker[1].length <= first[1].length) {
      items.push({ width: marker[0].length, lines: [line.slice(marker[0].length)] });
    } else {
      const { width, lines: body } = items.at(-1);
      body.push(line.slice(Math.min(width, indent(line))));
    }
  }
  return {
    kind: "list",
    ordered: first[2] !== undefined,
    start: Number(first[2] ?? 1),
    items: items.map(({ lines: body }) => parseBlocks(body)),
    lines,
  };
}

function blockNode(block) {
  if (block.kind === "code") {
    const pre = document.createElement("pre");
    const code = document.createElement("code");
    code.textContent = block.lines.join("\n");
    if (block.language) pre.dataset.language = block.language;
    // Wide code scrolls, so the keyboard must be able to reach it.
    pre.tabIndex = 0;
    pre.append(code);
    return pre;
  }
  if (block.kind === "list") {
    const node = document.createElement(block.ordered ? "ol" : "ul");
    if (block.ordered && block.start !== 1) node.start = block.start;
    for (const blocks of block.items) {
      const li = document.createElement("li");
      li.append(...blocks.map(blockNode));
      node.append(li);
    }
    return node;
  }
  // Headings of an answer are not headings of this page.
  const node = document.createElement("p");
  let text = block.lines.join("\n");
  if (block.kind === "heading") {
    node.className = "heading";
    text = heading.exec(text)[2];
  }
  node.append(...inlineNodes(text));
  return node;
}

// Spans have a limit so that a text of lone asterisks cannot cost quadratic time.
const code = /(`+)([^`]|[^`].{0,2000}?[^`])\1(?!`)/;
const bold = /\*\*(\S|\S.{0,2000}?\S)\*\*/;
const emphasis = /\*([^\s*]|[^\s*][^*]{0,2000}?[^\s*])\*/;
const inline = new RegExp([code, bold, emphasis].map(({ source }) => source).join("|"), "s");

function inlineNodes(text) {
  const nodes = [];
  while (text !== "") {
    const match = inline.exec(text);
    if (!match) {
      nodes.push(text);
      break;
    }
    nodes.push(text.slice(0, match.index));
    const [whole, , verbatim, strong, em] = match;
    const node = document.createElement(verbatim ? "code" : strong ? "strong" : "em");
    if (verbatim) node.textContent = verbatim;
    else node.append(...inlineNodes(strong ?? em));
    nodes.push(node);
    text = text.slice(match.index + whole.length);
  }
  return nodes;
}

// An element that shows a growing text. Only blocks that changed are made anew: a long answer
// arrives a token at a time, and what was selected in it stays selected.
export class MarkdownView {
  #element;
  #shown = [];

  constructor(element) {
    this.#element = element;
  }

  update(text) {
    const blocks = parseBlocks(text.split("\n"));
    const keys = blocks.map((block) => `${block.kind} ${block.language} ${block.lines.join("\n")}`);
    let same = 0;
    while (same < keys.length && keys[same] === this.#shown[same]) ++same;
    while (this.#element.childNodes.length > same) this.#element.lastChild.remove();
    this.#element.append(...blocks.slice(same).map(blockNode));
    this.#shown = keys;
  }
}
