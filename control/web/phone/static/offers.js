/** Offers within a call: hold, resume, another way for the audio (re-INVITE; RFC 3261, 14). */

import { PhoneError } from "./errors.js";
import { REQUEST_PENDING } from "./socket.js";

const UNDO = { hold: "unhold", unhold: "hold" };
const NAMES = { hold: "Holding", unhold: "Resuming", renegotiate: "Looking for another way for the audio" };
const PATIENCE_MS = 8000; // by then whoever waits is told that no answer comes

/**
 * JsSIP hangs up when an offer of its own is refused, whatever the reason. But that changes nothing (RFC 3261, 14.1): here
 * the call goes on as it was, and an offer that has crossed one of the other side's (491) is made once more.
 */
export class Offers {
  constructor(session) {
    this._session = session;
    this._busy = false; // from an offer's beginning until it has come to something, attempts and all
    this._pending = null; // while it waits for its answer: what to do with a refusal
    const send = session.sendRequest.bind(session);
    session.sendRequest = (method, options) => this._send(send, method, options);
    // JsSIP answers 491 to what crosses an offer of its own, and takes it all the same.
    for (const event of ["reinvite", "update"]) {
      session.on(event, ({ request, reject }) => {
        if (this._pending && (request.method === "INVITE" || request.body)) reject({ status_code: 491 });
      });
    }
  }

  /** Do JsSIP's "hold", "unhold" or "renegotiate". Throws PhoneError if it is not agreed upon; all is then as before. */
  async make(what, options = {}) {
    const failed = (why) => new PhoneError(what, `${NAMES[what]} did not work: ${why}.`);
    if (this._busy) throw failed("another change of the call is under way");
    this._busy = true;
    let patience;
    const late = new Promise((_, reject) => {
      patience = setTimeout(() => reject(failed("the other side does not answer")), PATIENCE_MS);
    });
    const made = this._attempts(what, options).finally(() => {
      this._busy = false;
      clearTimeout(patience);
    });
    const status = await Promise.race([made, late]);
    if (status === undefined) throw failed(this._session.isEnded() ? "the call is over" : "the other side changes the call now");
    if (status >= 300) throw failed(`the PBX answers ${status === REQUEST_PENDING ? 491 : status}`);
  }

  async _attempts(what, options) {
    const session = this._session;
    const status = await this._offer(what, what, options, true);
    if (status !== REQUEST_PENDING) return status;
    await pause(delay(session.direction === "outgoing"));
    while (!session.isEnded() && !session.isReadyToReOffer()) await pause(50); // the other side was first
    // JsSIP has counted it as held, or not, since the first attempt: it says so in any offer, and does not hold twice.
    return this._offer(what, "renegotiate", options, false);
  }

  /** The status of the answer; undefined: the call is over, or JsSIP is busy with an offer of the other side's. */
  _offer(what, by, options, again) {
    const session = this._session;
    return new Promise((resolve) => {
      const done = (status) => {
        session.off("ended", over);
        this._pending = null;
        resolve(status);
      };
      const over = () => done();
      const withdraw = async (status) => {
        const { connection } = session;
        if (connection.signalingState === "have-local-offer") {
          await connection.setRemoteDescription(agreed(connection)).catch(() => {});
        }
        done(status);
      };
      session.once("ended", over);
      this._pending = {
        refused: ({ status_code: status }) => {
          if (!UNDO[what] || (again && status === REQUEST_PENDING)) return withdraw(status);
          // JsSIP knows no way back but another offer. It is made, and goes nowhere.
          this._pending.goesNowhere = () => withdraw(status);
          session[UNDO[what]]();
        },
      };
      if (!session[by]({ useUpdate: false, ...options }, () => done(200))) done();
    });
  }

  _send(send, method, options) {
    const pending = this._pending;
    if (method !== "INVITE" || !pending) return send(method, options);
    if (pending.goesNowhere) return pending.goesNowhere();
    return send(method, { ...options, eventHandlers: { ...options.eventHandlers, onErrorResponse: pending.refused } });
  }
}

/**
 * What the other side described last, as its answer: with that an offer of ours leaves everything as it was, since what
 * makes it a hold JsSIP writes into the message alone. A rollback costs Chromium (156) its way for the audio if it was called.
 */
function agreed({ currentLocalDescription: ours, currentRemoteDescription: theirs }) {
  const setup = ours.sdp.includes("a=setup:active") ? "passive" : "active";
  return { type: "answer", sdp: theirs.sdp.replaceAll("a=setup:actpass", `a=setup:${setup}`) };
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** After how many milliseconds it is offered again; who made the call waits longer than who took it (RFC 3261, 14.1). */
function delay(caller) {
  return caller ? 2100 + Math.random() * 1900 : Math.random() * 2000;
}
