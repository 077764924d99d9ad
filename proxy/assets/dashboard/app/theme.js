// Light, dark, or as the system has it.

import { show } from "./dom.js";

const KEY = "postern.theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };

/** Makes `button` the switch. */
export function themeSwitch(button) {
  const set = (theme) => {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    show(button, `Theme: ${theme}`);
    button.onclick = () => {
      keep(NEXT[theme]);
      set(NEXT[theme]);
    };
  };
  set(kept());
}

// A browser may refuse to keep anything.
function kept() {
  try {
    const theme = localStorage.getItem(KEY);
    return theme in NEXT ? theme : "auto";
  } catch {
    return "auto";
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is left.
  }
}
