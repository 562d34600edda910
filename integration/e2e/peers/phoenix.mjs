import { Socket } from "phoenix";
import { events } from "./events.mjs";

export function connect(url) {
  const socket = new Socket(url);
  const client = events();
  socket.onClose(() => (client.state = "waiting"));
  socket.connect();
  const channel = socket.channel("room:one");
  channel.on("push", ({ n }) => client.push(n));
  channel.onError(() => (client.state = "waiting"));
  channel.join().receive("ok", () => (client.state = "open"));
  client.request = (_, body) =>
    new Promise((resolve, reject) =>
      channel
        .push("ask", body)
        .receive("ok", (bdy) => resolve({ bdy }))
        .receive("error", () => reject({ code: "error" }))
        .receive("timeout", () => reject({ code: "timeout" })),
    );
  return client;
}
