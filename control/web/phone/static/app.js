/** The page: setting up, dialling, calls, history, settings. What it knows of calls it has from the engine. */

import { Phone, PhoneError, redeem } from "./nightbell-phone.js";
import { showCall } from "./call-card.js";
import { drawKeys } from "./keypad.js";
import { showHistory } from "./history.js";
import { hush, ring } from "./ring.js";
import { openSettings } from "./settings.js";
import * as store from "./store.js";

const $ = (id) => document.getElementById(id);
const VIEWS = ["setup", "elsewhere", "phone"];
const WORKER = new URL("../sw.js", import.meta.url);
const SCOPE = new URL("../", import.meta.url);

let phone;
let worker;
let letGo = () => {};

function view(name) {
  for (const id of VIEWS) $(id).hidden = id !== name;
}

// ------------------------------------------------------------------------------------------------- setting up

async function begin() {
  worker = await navigator.serviceWorker?.register(WORKER, { scope: SCOPE.pathname }).catch(() => undefined);
  const code = location.hash.slice(1);
  const account = await store.get("account");
  if (code) return offerSetup(code, account);
  if (account) return become(account);
  $("setup-text").textContent =
    "This browser is not a phone yet. Open a one-time link: whoever runs Nightbell for you makes one with “nightbell device link”.";
  $("setup-go").hidden = true;
  view("setup");
}

function offerSetup(code, account) {
  view("setup");
  if (account) {
    $("setup-title").textContent = "Set up this browser anew";
    $("setup-text").textContent =
      `It is the phone of ${account.name || account.user} now. The link makes it the one it was made for. It works once.`;
  }
  $("setup-go").onclick = async () => {
    $("setup-go").disabled = true;
    $("setup-error").textContent = "";
    try {
      const fresh = await redeem(code);
      await store.set("account", fresh);
      history.replaceState(null, "", location.pathname); // the code is worth nothing any more
      await become(fresh);
    } catch (error) {
      $("setup-error").textContent = said(error);
      if (account) back(account);
    }
    $("setup-go").disabled = false;
  };
  $("setup-go").focus();
}

/** A link that does not work is no reason to be without the phone that was there before. */
function back(account) {
  history.replaceState(null, "", location.pathname);
  $("setup-go").textContent = "Go on with the phone that was here";
  $("setup-go").onclick = () => become(account);
}

/** Be the phone, if no other window of this browser is. */
async function become(account, options = { signal: AbortSignal.timeout(1500) }) {
  if (!navigator.locks) return open(account);
  $("elsewhere-go").onclick = () => become(account, { steal: true });
  const taken = Promise.withResolvers?.() ?? resolvers();
  navigator.locks
    .request("nightbell-phone", options, () => {
      taken.resolve(true);
      return new Promise((resolve) => (letGo = resolve));
    })
    .catch(() => {
      taken.resolve(false);
      if (phone) close("elsewhere"); // another window has taken it over
    });
  if (await taken.promise) return open(account);
  view("elsewhere");
  $("elsewhere-go").focus();
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

async function open(account) {
  let instance = await store.get("instance");
  if (!instance) await store.set("instance", (instance = crypto.randomUUID()));
  const [microphone, speaker] = [await store.get("microphone"), await store.get("speaker")];
  phone = new Phone(account, { instance, microphone: microphone?.id, speaker: speaker?.id });
  phone.addEventListener("state", showState);
  phone.addEventListener("account", () => {
    store.set("account", phone.account);
    showWho();
    openSettings.refresh?.();
  });
  phone.addEventListener("call", ({ detail }) => taken(detail));
  phone.addEventListener("trouble", ({ detail }) => complain(detail));
  window.nightbell = phone; // for whoever looks at it in the browser's console
  showWho();
  showState();
  showHistory(await store.calls(), dial);
  openSettings({ phone, worker, store, said, signOut });
  view("phone");
  $("number").focus();
  if (document.visibilityState === "visible") clearNotifications();
  await phone.start().catch(() => {}); // its state says why
  // Brought again each time: the browser may have another address for pushes now, and what is not brought ages.
  if ((await store.get("push")) && phone?.account.vapid_key) await phone.enablePush(worker).catch(complain);
}

function close(next) {
  hush();
  phone?.stop();
  phone = undefined;
  $("calls").replaceChildren();
  view(next);
}

async function signOut() {
  if (phone.calls.length && !confirm("A call is under way. End it and sign out?")) return;
  const leaving = phone;
  await leaving.disablePush(worker).catch(() => {}); // a token that is left behind ends with the device
  close("setup");
  await store.clear();
  letGo();
  $("setup-title").textContent = "Signed out";
  $("setup-text").textContent = "This browser is no phone any more. To come back, open a new one-time link.";
  $("setup-go").hidden = true;
}

// ---------------------------------------------------------------------------------------------------- showing

const MOODS = { connected: "good", connecting: "live", offline: "bad", refused: "bad", stopped: "" };

function showState() {
  $("state-words").textContent = phone.words;
  $("state").dataset.state = phone.state;
  $("state").querySelector(".mood").className = `mood ${MOODS[phone.state]}`;
  $("dial").disabled = phone.state !== "connected";
  if (phone.state === "connected") $("trouble").textContent = "";
}

function showWho() {
  const { name, user, device_name: device } = phone.account;
  $("who").textContent = `${name || user} · ${device}`;
}

function said(error) {
  if (!(error instanceof PhoneError)) console.error(error);
  return error instanceof PhoneError ? error.message : "Something went wrong in this page. Reload it and try again.";
}

function complain(error) {
  $("trouble").textContent = said(error);
}

// ------------------------------------------------------------------------------------------------------ calls

async function dial(target) {
  $("trouble").textContent = "";
  try {
    await phone.call(target);
    $("number").value = "";
  } catch (error) {
    complain(error);
  }
}

function taken(call) {
  const here = phone;
  showCall(call, { phone: here, complain });
  document.title = call.direction === "in" ? `Call from ${call.name || call.number}` : document.title;
  sound();
  call.addEventListener("state", async () => {
    sound();
    if (call.state !== "incoming") clearNotifications();
    if (call.state !== "ended") return;
    const { began, direction, number, name, seconds, outcome, words } = call;
    await store.remember({ began, direction, number, name, seconds, outcome, words });
    showHistory(await store.calls(), dial);
  });
}

/** What a push has shown is told by the page itself now. The browser that answers gets no other word of it. */
async function clearNotifications() {
  const shown = (await worker?.getNotifications?.().catch(() => [])) ?? [];
  for (const notification of shown) notification.close();
}

function sound() {
  const calls = phone?.calls.filter((call) => call.state !== "ended") ?? [];
  const incoming = calls.some((call) => call.state === "incoming");
  const talking = calls.some((call) => call.state === "talking");
  const ringback = calls.some((call) => call.state === "ringing" && !call.early);
  ring(incoming && !talking ? "incoming" : ringback ? "ringback" : "");
  if (!incoming) document.title = "Phone · Nightbell";
}

// ----------------------------------------------------------------------------------------------------- events

drawKeys($("keys"), (key) => {
  $("number").value += key;
});

$("erase").addEventListener("click", () => {
  $("number").value = $("number").value.slice(0, -1);
  $("number").focus();
});

$("dialler").addEventListener("submit", (event) => {
  event.preventDefault();
  if (phone) dial($("number").value);
});

$("forget").addEventListener("click", async () => {
  await store.forgetCalls();
  showHistory([], dial);
  $("number").focus();
});

addEventListener("beforeunload", (event) => {
  if (phone?.calls.some((call) => call.state !== "ended")) event.preventDefault();
});

document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && clearNotifications());

addEventListener("hashchange", () => location.hash.length > 1 && location.reload());

navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (data?.type && data.type !== "over") phone?.wake();
});

begin().catch((error) => {
  $("setup-error").textContent = said(error);
  $("setup-go").hidden = true;
  view("setup");
});
