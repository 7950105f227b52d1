/** The twelve keys, with the letters that belong to them. */

const KEYS = [
  ["1", ""], ["2", "ABC"], ["3", "DEF"],
  ["4", "GHI"], ["5", "JKL"], ["6", "MNO"],
  ["7", "PQRS"], ["8", "TUV"], ["9", "WXYZ"],
  ["*", ""], ["0", "+"], ["#", ""],
];
const SPOKEN = { "*": "star", "#": "pound" };

/** Put the keys into an element; `pressed` gets the key. Holding 0 down gives +. */
export function drawKeys(parent, pressed) {
  for (const [key, letters] of KEYS) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "key";
    button.dataset.key = key;
    button.setAttribute("aria-label", SPOKEN[key] ?? (letters ? `${key} ${letters}` : key));
    const [digit, small] = [document.createElement("span"), document.createElement("small")];
    digit.textContent = key;
    small.textContent = letters;
    button.append(digit, small);
    let held;
    let timer;
    button.addEventListener("pointerdown", () => {
      held = false;
      if (key === "0") timer = setTimeout(() => ((held = true), pressed("+")), 600);
    });
    for (const end of ["pointerup", "pointerleave"]) button.addEventListener(end, () => clearTimeout(timer));
    button.addEventListener("click", () => {
      if (!held) pressed(key);
      held = false;
    });
    parent.append(button);
  }
}
