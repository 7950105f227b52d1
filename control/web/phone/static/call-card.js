/** One call on the page: who, what state in words, and what can be done with it. */

import { drawKeys } from "./keypad.js";

const LINGER_MS = 4000; // for so long it is said how the call ended

export function showCall(call, { phone, complain }) {
  const card = document.getElementById("call-card").content.firstElementChild.cloneNode(true);
  const $ = (selector) => card.querySelector(selector);
  const title = call.name || call.number;
  const news = document.getElementById("news");
  card.setAttribute("aria-label", `${call.direction === "in" ? "Call from" : "Call to"} ${title}`);
  $(".name").textContent = title;
  $(".number-line").textContent = call.name ? call.number : "";
  $(".portrait").textContent = /\p{L}/u.test(title) ? [...title][0].toUpperCase() : "#";
  drawKeys($(".tones"), (key) => call.tones(key));

  const attempt = (work) => async (event) => {
    event.preventDefault();
    const button = event.submitter ?? event.currentTarget;
    if (button.ariaDisabled) return;
    button.ariaDisabled = "true"; // and not `disabled`, which would take the focus away
    try {
      await work();
    } catch (error) {
      complain(error);
    }
    button.ariaDisabled = null;
    show();
  };
  const fold = (button, part) => {
    part.hidden = !part.hidden;
    button.setAttribute("aria-expanded", String(!part.hidden));
    if (!part.hidden) part.querySelector("input, button").focus();
  };
  // The call that is talked about with another one: "Ask there first" has made a second call out of this one.
  const first = () => phone.calls.find((other) => other.asksFor === call.id && other.state === "talking");

  $(".answer").addEventListener("click", attempt(() => call.answer()));
  $(".hangup").addEventListener("click", attempt(() => call.hangup()));
  $(".mute").addEventListener("click", () => call.mute(!call.muted));
  $(".hold").addEventListener("click", attempt(() => (heldByUs(call) ? call.resume() : call.hold())));
  $(".pad").addEventListener("click", () => fold($(".pad"), $(".tones")));
  $(".transfer").addEventListener("click", () => fold($(".transfer"), $(".handover")));
  $(".handover").addEventListener("submit", attempt(() => call.transfer($(".handover input").value)));
  $(".ask").addEventListener("click", attempt(async () => {
    const second = await phone.call($(".handover input").value);
    call.asksFor = second.id;
    $(".handover").hidden = true;
    $(".transfer").setAttribute("aria-expanded", "false");
  }));
  $(".join").addEventListener("click", attempt(() => first()?.transferTo(call)));

  function show() {
    const { state } = call;
    const here = card.contains(document.activeElement) && document.activeElement;
    const talking = state === "talking";
    card.dataset.state = state;
    $(".words").textContent = call.words;
    $(".clock").textContent = clock(call.seconds);
    $(".clock").hidden = !call.answered;
    $(".answer").hidden = state !== "incoming";
    for (const name of [".mute", ".hold", ".transfer"]) $(name).hidden = !talking;
    $(".pad").hidden = !talking && state !== "ringing";
    $(".join").hidden = !(talking && first());
    $(".hangup").hidden = state === "ended";
    $(".hangup").textContent = state === "incoming" ? "Decline" : "Hang up";
    $(".mute").textContent = call.muted ? "Unmute" : "Mute";
    $(".mute").setAttribute("aria-pressed", String(call.muted));
    $(".hold").textContent = heldByUs(call) ? "Resume" : "Hold";
    $(".hold").setAttribute("aria-pressed", String(heldByUs(call)));
    if (state === "ended") $(".tones").hidden = $(".handover").hidden = true;
    // Whoever has pressed a button that goes stays with the call.
    if (here && !here.checkVisibility()) card.focus();
  }

  // A card that is new would not be read out. What happens to it is said in a place that was there before.
  const tell = () => (news.textContent = call.state === "incoming" ? `Call from ${title}` : `${title}: ${call.words}`);
  const ticking = setInterval(show, 500);
  call.addEventListener("state", () => {
    show();
    tell();
    if (call.state !== "ended") return;
    clearInterval(ticking);
    setTimeout(() => {
      const focused = card.contains(document.activeElement);
      if (!phone.calls.length) news.textContent = "";
      card.remove();
      if (focused) document.getElementById("number").focus();
    }, LINGER_MS);
  });
  show();
  tell();
  document.getElementById("calls").prepend(card);
  // Where the hands should be: at Answer when it rings; what is being typed is not interrupted by more than a sound.
  if (call.direction === "out") card.focus();
  else if (!document.activeElement?.value) $(".answer").focus();
}

function heldByUs(call) {
  return call.held === "us" || call.held === "both";
}

function clock(seconds) {
  const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
