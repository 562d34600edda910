// A page in Node: evaluates what the test writes to its standard input, a line each, and
// prints what becomes of it. Its arguments: the client, and whether Node has no WebSocket
// of its own that is to be used.
import { createHmac } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { page } from "./page.mjs";

const [module, own] = process.argv.slice(2);
const { connect } = await import(module);
const Socket = own === "own" ? WebSocket : (await import("ws")).default;
const log = (from, text) => appendFileSync(process.env.FRAMES, `{"from":"${from}","message":${text}}\n`);

// A socket that writes down what goes over it.
class Recorded extends Socket {
  send(text) {
    log("client", text);
    super.send(text);
  }
  get onmessage() {
    return super.onmessage;
  }
  set onmessage(fn) {
    super.onmessage = fn && ((event) => (log("server", event.data), fn(event)));
  }
}
const defaults = { WebSocket: process.env.FRAMES ? Recorded : Socket };
globalThis.hmac = (key) => (text) => createHmac("sha256", key).update(text).digest("hex");
globalThis.page = page(connect, defaults);
const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { id, expression } = JSON.parse(line);
  let out;
  try {
    out = { id, value: (await (0, eval)(expression)) ?? null };
  } catch (error) {
    out = { id, error: String(error?.stack ?? error) };
  }
  console.log(JSON.stringify(out));
});
