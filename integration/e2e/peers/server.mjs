// The server half of a peer that is no program of its own: KIND PORT NATS-URL REDIS-URL PUSHES.
// Two of them stand side by side. Who pushes hears on "push" what there is for clients.
import { createServer } from "node:http";
import { connect } from "@nats-io/transport-node";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { WebSocketServer } from "ws";

const [kind, port, nats, redis, pushes] = process.argv.slice(2);
const http = createServer();
const slow = 200; // ms that a request takes, as with the others

const kinds = {
  // A question is answered, a push goes to all who are there. Nothing is kept.
  plain() {
    const server = new WebSocketServer({ server: http });
    server.on("connection", (ws) =>
      ws.on("message", (text) => {
        const { id, ask } = JSON.parse(text);
        setTimeout(() => ws.send(JSON.stringify({ id, answer: ask })), slow);
      }),
    );
    return (n) => server.clients.forEach((ws) => ws.send(JSON.stringify({ n })));
  },
  // The same in Phoenix's protocol (version 2), whose channels keep nothing either.
  phoenix() {
    const server = new WebSocketServer({ server: http });
    server.on("connection", (ws) =>
      ws.on("message", (text) => {
        const [join, ref, topic, event, payload] = JSON.parse(text);
        if (event === "phx_join") ws.topic = topic;
        const reply = (response) => ws.send(JSON.stringify([join, ref, topic, "phx_reply", { status: "ok", response }]));
        if (event === "ask") setTimeout(() => reply(payload), slow);
        else reply({});
      }),
    );
    return (n) => server.clients.forEach((ws) => ws.topic && ws.send(JSON.stringify([null, null, ws.topic, "push", { n }])));
  },
  // With what its documentation names for going on at another server: state recovery, and
  // the adapter that keeps packets in Redis.
  async socketio() {
    const client = await createClient({ url: redis }).connect();
    const io = new Server(http, { connectionStateRecovery: {}, adapter: createAdapter(client) });
    io.on("connection", (socket) => socket.on("ask", (body, reply) => setTimeout(() => reply(body), slow)));
    return (n) => io.emit("push", n);
  },
};

const push = await kinds[kind]();
const nc = await connect({ servers: nats });
if (pushes === "true") nc.subscribe("push", { callback: (_, m) => (push(m.json()), m.respond()) });
await nc.flush();
http.listen(Number(port), "127.0.0.1");
