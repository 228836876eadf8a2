// A websocket that receives JSON and connects again by itself.

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 4000;

export class Live {
  #path;
  #receive;
  #changed;
  #socket = null;
  #timer = null;
  #wait = FIRST_WAIT_MS;
  #query = "";

  /** Calls `receive(data)` for each JSON frame, and `changed(connected)` when the connection opens or closes. */
  constructor(path, receive, changed = () => {}) {
    this.#path = path;
    this.#receive = receive;
    this.#changed = changed;
  }

  /** Connects, or connects anew with another query ("?as=…"). Frames of the old connection are ignored. */
  open(query = "") {
    this.#query = query;
    this.#wait = FIRST_WAIT_MS;
    this.#drop();
    this.#connect();
  }

  #drop() {
    clearTimeout(this.#timer);
    const old = this.#socket;
    this.#socket = null;
    old?.close();
  }

  #connect() {
    const address = new URL(this.#path + this.#query, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.#wait = FIRST_WAIT_MS;
      this.#changed(true);
      this.#receive(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (socket !== this.#socket) return;
      this.#changed(false);
      this.#timer = setTimeout(() => this.#connect(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    });
  }
}
