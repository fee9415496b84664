// Colours of the observatory. In both tables lightness is monotone, so that order survives in
// grey and for every kind of colour vision; the tests check it. On a dark page more is lighter,
// on a light page more is darker.

// The first reason stands out most; neighbours differ in lightness by a clear step.
const reasonColours = {
  light: {
    sink: "#1c1f3d",
    pinned: "#7a1f6b",
    protected: "#c4501b",
    drawn: "#3f95cf",
    recent: "#8ccbb5",
  },
  dark: {
    sink: "#fff3b8",
    pinned: "#f0b3e0",
    protected: "#f28e56",
    drawn: "#4f8ed6",
    recent: "#3f6f66",
  },
};

const ramps = {
  light: ["#dbc05a", "#9fb75a", "#4f9f7c", "#2b7a8c", "#2f5588", "#33245f"],
  dark: ["#3a4a80", "#38709b", "#3b979c", "#68bb83", "#b6d86c", "#fbf2a0"],
};

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const theme = () => (isDark() ? "dark" : "light");

export const reasonColour = (reason) => reasonColours[theme()][reason];

export const rampStops = () => ramps[theme()];

// 0..1 -> one of 64 colours: a canvas that changes its fill style at each cell is slow.
export const rampSteps = 64;

export function rampColours() {
  const stops = rampStops().map(parse);
  return Array.from({ length: rampSteps }, (_, i) => {
    const at = (i / (rampSteps - 1)) * (stops.length - 1);
    const index = Math.min(stops.length - 2, Math.floor(at));
    const mix = (channel) =>
      Math.round(
        stops[index][channel] + (at - index) * (stops[index + 1][channel] - stops[index][channel]),
      );
    return `rgb(${mix(0)} ${mix(1)} ${mix(2)})`;
  });
}

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
