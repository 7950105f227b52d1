/** The latest calls. Choosing one calls it again. */

const SIGNS = {
  in: "M17 7 7 17m0-7v7h7",
  out: "M7 17 17 7m0 7V7h-7",
  missed: "m20 7-8 8-8-8m0 6V7h6",
};
const SHOWN = 20;

export function showHistory(calls, dial) {
  const list = document.getElementById("history");
  list.replaceChildren(...calls.slice(0, SHOWN).map((call) => row(call, dial)));
  document.getElementById("history-empty").hidden = calls.length > 0;
  document.getElementById("forget").hidden = calls.length === 0;
}

function row(call, dial) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = `past ${call.outcome}`;
  button.append(
    sign(call.outcome === "missed" ? "missed" : call.direction),
    part("span", "whom", call.name || call.number),
    part("span", "how", [call.words, call.seconds ? length(call.seconds) : ""].filter(Boolean).join(" · ")),
    part("time", "when", when(call.began)),
  );
  const told = [direction(call), call.words, call.seconds ? length(call.seconds) : "", when(call.began)].filter(Boolean);
  button.setAttribute("aria-label", `Call ${call.name || call.number} again: ${told.join(", ")}`);
  button.addEventListener("click", () => dial(call.number));
  item.append(button);
  return item;
}

function direction(call) {
  return call.direction === "in" ? "incoming" : "outgoing";
}

function part(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function sign(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SIGNS[name]);
  svg.append(path);
  return svg;
}

function when(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

function length(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
