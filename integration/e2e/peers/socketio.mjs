import { io } from "socket.io-client";
import { events } from "./events.mjs";

export function connect(url) {
  // As its documentation has it for "at least once".
  const socket = io(url, { transports: ["websocket"], retries: 10, ackTimeout: 10_000 });
  const client = events();
  socket.on("connect", () => (client.state = "open"));
  socket.on("disconnect", () => (client.state = "waiting"));
  socket.on("push", (n) => client.push(n));
  client.request = async (_, body) => ({ bdy: await socket.emitWithAck("ask", body) });
  return client;
}
