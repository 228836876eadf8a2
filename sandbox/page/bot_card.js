// One process of the bot in the panel: its state, its shards, its log, and buttons that start and end it.
import { timeOf } from "./clock.js";
import { h } from "./dom.js";

const BOT_WORDS = { running: "running", starting: "starting…", stopped: "stopped", died: "not running: it died" };

export class BotCard {
  /** `act(action)` is called with "kill", "stop", "start" or "restart". */
  constructor(number, processes, act) {
    const title = processes === 1 ? "Bot process" : `Bot process ${number}`;
    this.state = h("span", { class: "bot-state", role: "status", "data-testid": "bot-state" }, "…");
    this.pid = h("p", { class: "quiet", "data-testid": "bot-pid" });
    this.shards = h("ul", { class: "shards", "aria-label": `Shards of process ${number}`, "data-testid": "bot-shards", hidden: processes === 1 });
    this.log = h("pre", { class: "log", tabindex: 0, "aria-label": "Last lines of the bot's log", "data-testid": "bot-log" });
    const name = processes === 1 ? null : (words) => `${words} process ${number}`;
    const button = (words, action, style) => h("button", { class: `button ${style}`, type: "button", "aria-label": name?.(words), "data-testid": `panel-${action}`, onclick: () => act(action) }, words);
    this.buttons = { kill: button("Kill −9", "kill", "button-4"), stop: button("Stop", "stop", "button-2"), start: button("Start", "start", "button-1"), restart: button("Restart", "restart", "button-2") };
    const log = h("details", {}, h("summary", {}, "Last log lines"), this.log);
    log.addEventListener("toggle", () => (this.log.scrollTop = this.log.scrollHeight));
    this.node = h("section", { class: "card", "data-testid": `process-${number}` }, h("h3", {}, title), h("p", {}, this.state), this.pid, this.shards, h("div", { class: processes === 1 ? "panel-row" : "panel-row narrow" }, Object.values(this.buttons)), log);
  }

  show(bot) {
    this.state.textContent = BOT_WORDS[bot.state] ?? bot.state;
    this.state.dataset.state = bot.state;
    const alive = bot.state === "running" || bot.state === "starting";
    const since = bot.since_ms ? ` since ${timeOf(new Date(bot.since_ms))}` : "";
    const again = bot.restarts ? ` · started again ${bot.restarts === 1 ? "once" : `${bot.restarts} times`}` : "";
    this.pid.textContent = `${alive && bot.pid ? `pid ${bot.pid}` : "no process"}${since}${again}`;
    this.shards.replaceChildren(...bot.shards.map(shardLine));
    this.buttons.kill.disabled = this.buttons.stop.disabled = this.buttons.restart.disabled = !alive;
    this.buttons.start.disabled = alive;
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 24;
    const text = bot.log.slice(-60).join("\n") || "(nothing yet)";
    if (this.log.textContent !== text) this.log.textContent = text;
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}

function shardLine({ id, connected, places }) {
  const words = connected ? "connected" : "not connected";
  return h("li", { "data-connected": String(connected), title: words }, `Shard ${id}`, h("span", { class: "hidden" }, ` ${words}`), h("span", { class: "quiet" }, places.join(", ")));
}
