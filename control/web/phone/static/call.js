/** One call of a phone, over one JsSIP session. */

import { PhoneError } from "./errors.js";
import { Offers } from "./offers.js";
import { ending } from "./words.js";

/**
 * Events: "state" (see `state`, `words`, `held`, `muted`), "audio" (detail: the MediaStream that is heard).
 *
 * `state`: "dialling" → "ringing" → "talking" → "ended", or "incoming" → "talking" → "ended".
 * `held`: "" | "us" (we hold) | "them" | "both".
 */
export class Call extends EventTarget {
  constructor(phone, session, request, dialled) {
    super();
    this.phone = phone;
    this.session = session;
    this._offers = new Offers(session);
    this.direction = session.direction === "incoming" ? "in" : "out";
    const { uri, display_name: name } = this.direction === "in" ? request.from : session.remote_identity;
    this.number = dialled ?? decodeURIComponent(uri.user ?? uri.host);
    this.name = this.direction === "in" && name ? name : "";
    this.id = `${session.id}`;
    this.state = this.direction === "in" ? "incoming" : "dialling";
    this.held = "";
    this.muted = false;
    this.began = Date.now();
    this.answered = 0;
    this.early = false;
    this.outcome = "";
    this._end = "";
    this._audio = new Audio();
    this._audio.autoplay = true;
    if (phone.speaker) this.useSpeaker(phone.speaker);
    this._listen(session);
  }

  /** The state as words for people. */
  get words() {
    if (this.state === "ended") return this._end;
    if (this.state === "dialling") return "Calling…";
    if (this.state === "ringing") return "It rings at the other end";
    if (this.state === "incoming") return "Calls you";
    if (this.held === "us") return "On hold";
    if (this.held === "them") return "They have put you on hold";
    if (this.held === "both") return "On hold at both ends";
    return this.muted ? "Talking; they cannot hear you" : "Talking";
  }

  /** Seconds since the answer. */
  get seconds() {
    return this.answered ? Math.floor(((this._ended || Date.now()) - this.answered) / 1000) : 0;
  }

  /** The audio that is heard, once there is some. */
  get remoteStream() {
    return this._audio.srcObject;
  }

  /** Take an incoming call; others that talk are put on hold. Throws PhoneError when there is no microphone. */
  async answer() {
    if (this.state !== "incoming" || this._answering) return;
    this._answering = true;
    try {
      const stream = await this.phone.openMicrophone();
      if (this.state !== "incoming") {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      this._stream = stream;
      for (const other of this.phone.calls) if (other.state === "talking") await other.hold().catch(() => {});
      this.session.answer({ mediaStream: stream, ...this.phone._media() });
    } finally {
      this._answering = false;
    }
  }

  /** End it in whatever state it is: hang up, give up, or decline. */
  hangup() {
    if (this.state === "ended") return;
    const status = this.state === "incoming" ? { status_code: 603, reason_phrase: "Decline" } : undefined;
    try {
      this.session.terminate(status);
    } catch {
      // It ended by itself at the same moment.
    }
  }

  async hold() {
    if (this.held === "us" || this.held === "both") return;
    await this._offers.make("hold");
  }

  async resume() {
    if (this.held !== "us" && this.held !== "both") return;
    for (const other of this.phone.calls) if (other !== this && other.state === "talking") await other.hold().catch(() => {});
    await this._offers.make("unhold");
  }

  /** Whether they hear us. */
  mute(on = true) {
    this.session[on ? "mute" : "unmute"]({ audio: true });
  }

  /** Send key tones: digits, A to D, * and #. */
  tones(keys) {
    if (this.state !== "talking" && this.state !== "ringing") return;
    const sender = this._sender?.dtmf;
    const inBand = sender?.canInsertDTMF; // RFC 4733, if the other side has agreed to it
    this.session.sendDTMF(keys, { transportType: inBand ? "RFC2833" : "INFO", duration: 120, interToneGap: 80 });
  }

  /** Hand them over to a number, without asking there. Done when the PBX has taken it. Throws PhoneError. */
  async transfer(target) {
    await this._refer(this.phone.uriOf(target), {});
  }

  /** Hand them over to the other end of another call of ours. Throws PhoneError. */
  async transferTo(other) {
    await this._refer(other.session.remote_identity.uri.toString(), { replaces: other.session });
    other.hangup();
  }

  async useSpeaker(id) {
    await this._audio.setSinkId?.(id).catch(() => {}); // unplugged meanwhile: the system's choice goes on
  }

  async replaceMicrophone() {
    const sender = this._sender;
    if (!sender) return;
    const stream = await this.phone.openMicrophone();
    const [track] = stream.getAudioTracks();
    track.enabled = !this.muted && !this.held;
    const old = sender.track;
    await sender.replaceTrack(track);
    old?.stop();
    this._stream = stream;
  }

  /** After the connection was away: if the audio has lost its way, look for another (ICE restart). */
  repair() {
    const state = this.session.connection?.iceConnectionState;
    if (this.state === "talking" && (state === "failed" || state === "disconnected")) {
      const restart = { rtcOfferConstraints: { iceRestart: true } };
      this._offers.make("renegotiate", restart).catch((error) => this.state === "talking" && this.phone._emit("trouble", error));
    }
  }

  get _sender() {
    return this.session.connection?.getSenders().find((sender) => sender.track?.kind === "audio" || sender.dtmf);
  }

  _refer(uri, options) {
    return new Promise((resolve, reject) => {
      const refused = (status) =>
        reject(new PhoneError("transfer", `The call was not handed over${status ? `: the PBX answers ${status}` : ""}.`));
      const done = () => {
        resolve();
        this.hangup();
      };
      const eventHandlers = {
        requestFailed: ({ response }) => refused(response?.status_code),
        // When it rings there the PBX has the call. Waiting for more would fail where two of its NOTIFYs, sent by UDP
        // within a millisecond, have overtaken each other: the later one is then refused, and the PBX sends no other.
        progress: options.replaces ? () => {} : done,
        accepted: done,
        failed: ({ status_line: line }) => refused(line?.status_code),
      };
      this.session.once("ended", resolve); // a PBX that has taken it may end our part without another word
      if (!this.session.refer(uri, { ...options, eventHandlers })) refused();
    });
  }

  _listen(session) {
    if (session.connection) this._hear(session.connection);
    session.on("peerconnection", ({ peerconnection }) => this._hear(peerconnection));
    session.on("progress", ({ originator, response }) => {
      if (originator !== "remote" || !(response?.status_code >= 180)) return;
      this.early = Boolean(response.body); // the other side sends its own ringing
      this._become("ringing");
    });
    session.on("accepted", () => {
      this.answered ||= Date.now();
      this._become("talking");
    });
    session.on("hold", ({ originator }) => this._hold(originator, true));
    session.on("unhold", ({ originator }) => this._hold(originator, false));
    session.on("muted", () => this._mute(true));
    session.on("unmuted", () => this._mute(false));
    session.on("failed", (event) => this._over(event));
    session.on("ended", (event) => this._over(event));
  }

  _hear(connection) {
    connection.addEventListener("track", ({ track, streams }) => {
      if (track.kind !== "audio") return;
      this._audio.srcObject = streams[0] ?? new MediaStream([track]);
      this._audio.play().catch(() => {}); // until the page was clicked a browser may refuse; autoplay tries again
      this.dispatchEvent(new CustomEvent("audio", { detail: this._audio.srcObject }));
    });
    connection.addEventListener("iceconnectionstatechange", () => {
      if (connection.iceConnectionState === "failed" && this.phone.state === "connected") this.repair();
    });
  }

  _hold(originator, on) {
    const { local, remote } = this.session.isOnHold();
    const us = originator === "local" ? on : local;
    const them = originator === "remote" ? on : remote;
    this.held = us && them ? "both" : us ? "us" : them ? "them" : "";
    this._told();
  }

  _mute(on) {
    this.muted = on;
    this._told();
  }

  _over({ originator, cause, message }) {
    if (this.state === "ended") return;
    this._ended = Date.now();
    const { direction, answered } = this;
    ({ outcome: this.outcome, words: this._end } = ending({ direction, answered, originator, cause, message }));
    for (const track of this._stream?.getTracks() ?? []) track.stop();
    this._audio.srcObject = null;
    this._become("ended");
  }

  _become(state) {
    if (this.state === state || this.state === "ended" || (state === "ringing" && this.state !== "dialling")) return;
    this.state = state;
    this._told();
  }

  _told() {
    this.dispatchEvent(new CustomEvent("state", { detail: this }));
  }
}
