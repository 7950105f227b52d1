/**
 * What JsSIP sees instead of 491 (RFC 3261, 21.4.27): by itself it would repeat that re-INVITE after a second, with the
 * CSeq that it had and an offer that may be out of date.
 */
export const REQUEST_PENDING = 499;

/**
 * SIP over a WebSocket (RFC 7118), as JsSIP wants its sockets. Unlike JsSIP's own it can be let go of at once: closing one
 * whose network is gone takes a browser a minute, and a call does not wait for that.
 */
export class SipSocket {
  constructor(url) {
    const { protocol, host } = new URL(url);
    this.url = url;
    this.sip_uri = `sip:${host};transport=ws`;
    this.via_transport = protocol === "ws:" ? "WS" : "WSS";
    this.onconnect = this.ondisconnect = this.ondata = this.onanswer = () => {};
  }

  connect() {
    if (this._ws) return;
    let ws;
    try {
      ws = new WebSocket(this.url, "sip");
    } catch (error) {
      setTimeout(() => this.ondisconnect(true, 0, error.message));
      return;
    }
    ws.binaryType = "arraybuffer";
    ws.onopen = () => this.onconnect();
    ws.onmessage = ({ data }) => {
      this.onanswer();
      this.ondata(typeof data === "string" ? data.replace(/^SIP\/2\.0 491 /, `SIP/2.0 ${REQUEST_PENDING} `) : data);
    };
    ws.onclose = ({ wasClean, code, reason }) => {
      this._ws = undefined;
      this.ondisconnect(!wasClean, code, reason);
    };
    this._ws = ws;
  }

  disconnect() {
    if (!this._ws) return;
    this._ws.onopen = this._ws.onmessage = this._ws.onclose = null;
    this._ws.close();
    this._ws = undefined;
  }

  /** Take the connection for dead. */
  drop(reason) {
    if (!this._ws) return;
    this.disconnect();
    this.ondisconnect(true, 1006, reason);
  }

  /** Connect now instead of at the next attempt that is planned. */
  again() {
    if (!this._ws) this.connect();
  }

  send(message) {
    if (!this.isConnected()) return false;
    this._ws.send(message);
    return true;
  }

  isConnected() {
    return this._ws?.readyState === WebSocket.OPEN;
  }

  isConnecting() {
    return this._ws?.readyState === WebSocket.CONNECTING;
  }
}
