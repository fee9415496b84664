// What the user wants of the server. All of it is optional; what is not set is not sent.

import { apiKey, getJson, setApiKey } from "./api.js";
import { make } from "./message.js";
import { load, save } from "./storage.js";

const keyName = "vase.settings";
const numbers = ["temperature", "top_p", "max_tokens", "seed", "budget", "pin_prompt"];
const texts = ["policy", "system"];

export class Settings {
  #dialog = document.getElementById("settings");
  #form = this.#dialog.querySelector("form");
  #values = load("localStorage", keyName) ?? {};

  // `onClose` is called when the user is done with them.
  constructor(onClose) {
    document.getElementById("open-settings").addEventListener("click", () => this.open());
    document.getElementById("reset-settings").addEventListener("click", () => this.#form.reset());
    this.#form.addEventListener("submit", () => this.#read());
    this.#dialog.addEventListener("close", onClose);
  }

  open(field) {
    const { elements } = this.#form;
    this.#form.reset();
    for (const name of [...numbers, ...texts]) elements[name].value = this.#values[name] ?? "";
    elements.api_key.value = apiKey();
    this.#dialog.showModal();
    if (field) elements[field].focus();
    this.#listPolicies();
  }

  // The server knows its policies. Until it has said them, or where it refuses to, the list holds
  // what was chosen before.
  async #listPolicies() {
    const { policy } = this.#form.elements;
    const chosen = this.#values.policy;
    if (chosen && policy.value !== chosen) {
      policy.append(policyOption({ name: chosen, offered: true }));
      policy.value = chosen;
    }
    let policies;
    try {
      ({ policies } = await getJson("vase/policies"));
    } catch {
      return; // the page says elsewhere that the server cannot be reached or wants a key
    }
    const kept = policy.value;
    const ablations = make("optgroup");
    ablations.label = "Ablations";
    ablations.append(...policies.filter((each) => each.ablation).map(policyOption));
    const others = policies.filter((each) => !each.ablation).map(policyOption);
    policy.replaceChildren(policy.options[0], ...others, ablations);
    policy.value = kept;
  }

  #read() {
    const { elements } = this.#form;
    this.#values = {};
    for (const name of numbers) {
      if (elements[name].value !== "") this.#values[name] = Number(elements[name].value);
    }
    for (const name of texts) {
      if (elements[name].value.trim() !== "") this.#values[name] = elements[name].value;
    }
    save("localStorage", keyName, this.#values);
    setApiKey(elements.api_key.value.trim());
  }

  // The request's fields besides the messages. The server draws rows by the same seed.
  fields() {
    const { temperature, top_p, max_tokens, seed, policy, budget, pin_prompt } = this.#values;
    const vase = given({ policy, budget, pin_prompt });
    const fields = given({ temperature, top_p, max_tokens, seed });
    return Object.keys(vase).length > 0 ? { ...fields, vase } : fields;
  }

  get system() {
    return this.#values.system ?? "";
  }
}

const given = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

function policyOption({ name, summary = "", offered }) {
  const option = make("option", "", name);
  option.title = summary;
  option.disabled = !offered;
  return option;
}
