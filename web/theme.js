// Light, dark, or as the system says. A classic script in <head>: a module would run after the
// first paint, and a dark page would flash white.
(() => {
  const key = "vase.theme";
  const order = ["auto", "light", "dark"];
  const root = document.documentElement;
  const label = { auto: "as the system", light: "light", dark: "dark" };

  let theme = "auto";
  try {
    theme = localStorage.getItem(key) ?? theme;
  } catch {
    // Storage may be forbidden; the switch then lasts as long as the page.
  }

  function apply() {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  }

  function show(button) {
    button.setAttribute("aria-label", `Colours: ${label[theme]}. Change`);
    button.title = `Colours: ${label[theme]}`;
    button.dataset.shows = theme;
  }

  apply();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    show(button);
    button.addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try {
        localStorage.setItem(key, theme);
      } catch {
        // As above.
      }
      apply();
      show(button);
    });
  });
})();
