/**
 * The engine of Nightbell's browser phone: an account by a one-time link, registration, calls, Web Push.
 * It draws nothing. docs/reference/browser-phone.md describes it; /phone/example is a page that uses it.
 *
 *   const account = await redeem("code of the link");
 *   const phone = new Phone(account);
 *   phone.addEventListener("state", () => console.log(phone.words));
 *   phone.addEventListener("call", ({ detail: call }) => call.direction === "in" && call.answer());
 *   await phone.start();
 *   const call = await phone.call("1001");
 */

import JsSIP from "./vendor/jssip.js";
import { Call } from "./call.js";
import { PhoneError } from "./errors.js";
import { SipSocket } from "./socket.js";
import { refusal } from "./words.js";

export { Call, PhoneError };

const HOME = new URL("../../", import.meta.url); // where this file came from, there is the API
const PROBE_MS = 4000; // a registrar that says nothing for so long is not there
const RETRY_MS = [500, 1000, 2000, 5000, 10000, 30000];
const REFRESH_MS = 30 * 60 * 1000; // TURN credentials run out
const GATHERING_MS = 800; // what no STUN or TURN server has said by then is left out of the offer

/** Turn the code of a one-time link into an account. It works once. Throws PhoneError with the sentence to show. */
export async function redeem(code, { home = HOME } = {}) {
  return ask(new URL("api/phone/redeem", home), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
  });
}

async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { cache: "no-store", credentials: "omit", ...options });
  } catch {
    throw new PhoneError("unreachable", "Nightbell cannot be reached. Is this device online?");
  }
  const body = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) {
    const { id = "http", message = `Nightbell answers ${response.status}.` } = body.error ?? {};
    throw new PhoneError(id, message, response.status);
  }
  return body;
}

/**
 * A phone. Events: "state" (see `state` and `words`), "call" (detail: the new Call, in or out),
 * "account" (detail: what Nightbell says of the account now), "trouble" (detail: a PhoneError that nobody waits for).
 */
export class Phone extends EventTarget {
  /**
   * @param account what `redeem` gave.
   * @param instance a UUID that stays the same for this browser, so that its registration is known again.
   * @param microphone, speaker device ids; empty: the system's choice.
   */
  constructor(account, { home = HOME, instance = crypto.randomUUID(), microphone = "", speaker = "" } = {}) {
    super();
    this.account = account;
    this.instance = instance;
    this.microphone = microphone;
    this.speaker = speaker;
    this.calls = [];
    /** "stopped" | "connecting" | "connected" | "offline" | "refused" */
    this.state = "stopped";
    /** The state as a sentence for people. */
    this.words = "Switched off";
    this._home = home;
    this._attempt = 0;
    this._onOnline = () => this.wake();
    this._onVisible = () => document.visibilityState === "visible" && this.wake();
    this._onLeave = () => this._leave();
  }

  /** Register, and stay registered. Throws PhoneError if Nightbell does not know the account any more. */
  async start() {
    if (this._ua) return;
    this._say("connecting", "Connecting…");
    try {
      await this.refresh();
    } catch (error) {
      if (error.status === 401) {
        this._say("refused", error.message);
        throw error;
      }
      // What is known of the account will do: SIP may be reachable where the pages are not.
    }
    this._socket = new SipSocket(this.account.sip);
    this._ua = new JsSIP.UA({
      sockets: [this._socket],
      uri: `sip:${this.account.device}@${this.account.domain}`,
      authorization_user: this.account.device,
      password: this.account.password,
      display_name: this.account.name || this.account.user,
      instance_id: this.instance,
      user_agent: "Nightbell browser phone",
      register_expires: 600,
      no_answer_timeout: 120,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 15,
    });
    this._listen(this._ua);
    addEventListener("online", this._onOnline);
    document.addEventListener("visibilitychange", this._onVisible);
    addEventListener("pagehide", this._onLeave);
    this._refreshing = setInterval(() => this.refresh().catch(() => {}), REFRESH_MS);
    this._ua.start();
  }

  /** End all calls, unregister, and be silent. */
  async stop() {
    if (!this._ua) return;
    removeEventListener("online", this._onOnline);
    document.removeEventListener("visibilitychange", this._onVisible);
    removeEventListener("pagehide", this._onLeave);
    clearInterval(this._refreshing);
    clearTimeout(this._retrying);
    clearTimeout(this._probing);
    for (const call of [...this.calls]) call.hangup();
    const ua = this._ua;
    this._ua = undefined;
    ua.stop();
    this._say("stopped", "Switched off");
  }

  /** The page goes: those who talk to it learn it. A call that only rings is left: whoever comes back gets it again. */
  _leave() {
    for (const call of [...this.calls]) if (call.state !== "incoming") call.hangup();
  }

  /** Make sure, now, that calls can come in: after a push, when the network is back, when the page is seen again. */
  wake() {
    if (!this._ua) return;
    if (!this._ua.isConnected()) {
      if (!this._socket.isConnecting()) this._socket.again();
      return;
    }
    clearTimeout(this._probing);
    // A connection can be dead without saying so. A REGISTER tells, and lets held calls through.
    this._probing = setTimeout(() => this._socket.drop("no answer"), PROBE_MS);
    this._ua.registrator().register();
  }

  /** Ask Nightbell for the account anew. */
  async refresh() {
    const told = await ask(new URL("api/phone/account", this._home), { headers: this._credential() });
    this.account = { ...this.account, ...told };
    this._emit("account", told);
  }

  /** Call a number, an extension, or a SIP address. Throws PhoneError when there is no microphone or no connection. */
  async call(target) {
    const uri = this.uriOf(target);
    if (!this._ua?.isRegistered()) throw new PhoneError("offline", "The phone is not connected.");
    const stream = await this.openMicrophone();
    for (const other of this.calls) if (other.state === "talking") await other.hold().catch(() => {});
    this._dialled = target;
    this._ua.call(uri, { mediaStream: stream, ...this._media() });
    const call = this.calls.at(-1);
    call._stream = stream;
    return call;
  }

  /** The SIP URI that a person means by what was typed. Throws PhoneError. */
  uriOf(target) {
    const text = target.trim();
    if (/^sips?:[^\s<>"]+$/.test(text)) return text;
    const number = /[a-z@]/i.test(text) ? text : text.replace(/[\s()/.-]/g, "");
    if (!/^[0-9A-Za-z*#+._~-]{1,64}$/.test(number)) {
      throw new PhoneError("number", text ? `“${text}” is not a number that can be called.` : "Type a number first.");
    }
    return `sip:${encodeURIComponent(number).replace("%2B", "+")}@${this.account.domain}`;
  }

  /** The microphone that was chosen. Throws PhoneError with what to do. */
  async openMicrophone() {
    const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const ask = (audio) => navigator.mediaDevices.getUserMedia({ audio, video: false });
    if (!navigator.mediaDevices) {
      throw new PhoneError("insecure", "This page was not opened over https, so the browser keeps the microphone away.");
    }
    const chosen = () => ask({ ...wanted, deviceId: { exact: this.microphone } });
    try {
      const stream = await (this.microphone ? chosen().catch((error) => gone(error) && ask(wanted)) : ask(wanted));
      // Unplugged in the middle of a call: the call goes on with another.
      for (const track of stream.getAudioTracks()) track.addEventListener("ended", () => this._microphoneGone(stream));
      return stream;
    } catch (error) {
      if (error.name === "NotAllowedError") {
        throw new PhoneError("microphone", "The microphone is blocked. Allow it for this page (in the address bar) and try again.");
      }
      if (error.name === "NotFoundError") throw new PhoneError("microphone", "There is no microphone. Plug one in and try again.");
      throw new PhoneError("microphone", "The microphone does not work. Is another program using it?");
    }
  }

  async _microphoneGone(stream) {
    for (const call of this.calls.filter((each) => each._stream === stream)) {
      await call.replaceMicrophone().catch((error) => this._emit("trouble", error));
    }
  }

  /** Use another microphone, in calls under way, too. */
  async useMicrophone(id) {
    this.microphone = id;
    for (const call of this.calls) await call.replaceMicrophone();
  }

  /** Use another loudspeaker or headset, in calls under way, too. */
  async useSpeaker(id) {
    this.speaker = id;
    for (const call of this.calls) await call.useSpeaker(id);
  }

  _media() {
    return {
      mediaConstraints: { audio: true, video: false },
      pcConfig: { iceServers: this.account.ice_servers ?? [] },
    };
  }

  _listen(ua) {
    const mine = (handler) => (event) => ua === this._ua && handler(event);
    ua.on("connecting", mine(() => this.state !== "offline" && this._say("connecting", "Connecting…")));
    ua.on("connected", mine(() => this._say("connecting", "Signing in…")));
    ua.on("registered", mine(() => this._registered()));
    ua.on("unregistered", mine(() => this.state === "connected" && this._say("connecting", "Signing in…")));
    ua.on("registrationFailed", mine((event) => this._refused(event)));
    ua.on("disconnected", mine(() => {
      const online = navigator.onLine ? "Nightbell cannot be reached" : "This device is offline";
      this._say("offline", `${online}. Trying again…`);
    }));
    ua.on("sipEvent", () => {});
    ua.on("newRTCSession", mine(({ session, request, originator }) => {
      const call = new Call(this, session, request, originator === "local" ? this._dialled : undefined);
      this.calls.push(call);
      session.on("icecandidate", ({ ready }) => (call._gathering ??= setTimeout(ready, GATHERING_MS)));
      call.addEventListener("state", () => {
        if (call.state === "ended") this.calls = this.calls.filter((other) => other !== call);
      });
      this._emit("call", call);
    }));
    // Any answer shows that the way is there; JsSIP itself says "registered" only the first time.
    this._socket.onanswer = () => clearTimeout(this._probing);
  }

  _registered() {
    this._attempt = 0;
    clearTimeout(this._retrying);
    this._say("connected", "Connected");
    for (const call of this.calls) call.repair();
  }

  async _refused({ response, cause }) {
    const status = response?.status_code ?? 0;
    const { words, credential } = refusal(status, cause);
    if (credential) {
      // A password that was made this very second is known to Kamailio a moment later: the pages know who is right.
      const problem = await this.refresh().then(() => null, (error) => error);
      if (problem?.status === 401) return this._say("refused", problem.message);
    }
    if (!this._ua) return;
    const wait = RETRY_MS[Math.min(this._attempt++, RETRY_MS.length - 1)];
    if (this._attempt > 3 || !credential) this._say("offline", words);
    // JsSIP does not try again by itself while the connection stands.
    clearTimeout(this._retrying);
    this._retrying = setTimeout(() => this._ua?.isConnected() && this._ua.registrator().register(), wait);
  }

  _say(state, words) {
    if (this.state === state && this.words === words) return;
    this.state = state;
    this.words = words;
    this._emit("state", { state, words });
  }

  _emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Let pushes wake this browser. `worker` is the ServiceWorkerRegistration of sw.js. Throws PhoneError.
   * Ask for it on a click: browsers show their question only then.
   */
  async enablePush(worker) {
    const key = this.account.vapid_key;
    if (!key) throw new PhoneError("push", "This Nightbell has no Web Push: calls ring while the page is open.");
    if (!worker?.pushManager) throw new PhoneError("push", "This browser has no Web Push: calls ring while the page is open.");
    if ((await Notification.requestPermission()) !== "granted") {
      throw new PhoneError("push", "Notifications are blocked. Allow them for this page (in the address bar) and try again.");
    }
    const old = await worker.pushManager.getSubscription();
    if (old && !sameKey(old.options.applicationServerKey, bytesOf(key))) await old.unsubscribe();
    let subscription;
    try {
      subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) });
    } catch (error) {
      throw new PhoneError("push", `The browser's push service refuses: ${error.message}`);
    }
    const { endpoint, keys } = subscription.toJSON();
    await this._bring([{ provider: "webpush", app: key, token: JSON.stringify({ endpoint, keys }) }]);
  }

  /** No pushes to this browser any more. */
  async disablePush(worker) {
    const subscription = await worker?.pushManager?.getSubscription();
    await subscription?.unsubscribe();
    await this._bring([]);
  }

  async _bring(tokens) {
    const headers = { ...this._credential(), "content-type": "application/json" };
    await ask(new URL("api/device/tokens", this._home), { method: "PUT", headers, body: JSON.stringify({ tokens }) });
  }

  _credential() {
    const { device, password } = this.account;
    return { authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${device}:${password}`)))}` };
  }
}

/** Whether the device that was asked for is not there; any other error is thrown on. */
function gone(error) {
  if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
  return true;
}

function bytesOf(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function sameKey(buffer, bytes) {
  const other = new Uint8Array(buffer ?? []);
  return other.length === bytes.length && other.every((byte, i) => byte === bytes[i]);
}
