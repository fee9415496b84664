// Requests to the server that served this page, and its refusals in words.

import { readEvents } from "./sse.js";
import { load, save } from "./storage.js";

const keyName = "vase.apiKey";

// The session's storage only: a key should not outlive the tab.
export const apiKey = () => load("sessionStorage", keyName) ?? "";
export const setApiKey = (key) => save("sessionStorage", keyName, key);

export class ApiError extends Error {
  constructor(message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export async function getJson(path, signal) {
  const response = await request(path, { signal });
  return response.json();
}

// The chunks of a streamed chat completion. Ends quietly only after the server's [DONE].
export async function* streamChat(body, signal) {
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  try {
    for await (const data of readEvents(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) {
        throw new ApiError(`The answer broke off: ${said(chunk) ?? "the server failed"}.`);
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError("The answer broke off: the connection was lost.");
  }
  throw new ApiError("The answer broke off: the server closed the connection.");
}

async function request(path, options) {
  const headers = { ...options.headers };
  if (apiKey()) headers.Authorization = `Bearer ${apiKey()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Is vase serve running?");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response) {
  const { status } = response;
  const body = await response.json().catch(() => null);
  const reason = said(body);
  if (status === 401 || status === 403) {
    const message = apiKey()
      ? "The server does not accept this API key."
      : "The server asks for an API key. Enter it in the settings.";
    return new ApiError(message, { status });
  }
  if (status === 429) {
    const retryAfter = Math.max(1, Math.ceil(Number(response.headers.get("Retry-After")) || 1));
    return new ApiError("All slots are busy and the queue is full.", { status, retryAfter });
  }
  if (status >= 500) {
    return new ApiError(`The server failed (${status})${reason ? `: ${reason}` : ""}.`, { status });
  }
  return new ApiError(`The server refused the request${reason ? `: ${reason}` : ` (${status})`}.`, {
    status,
  });
}

// The server's own words, without a final stop: they end up inside a sentence.
function said(body) {
  const message = body?.error?.message ?? (typeof body?.error === "string" ? body.error : null);
  return message?.replace(/\.\s*$/, "") ?? null;
}
