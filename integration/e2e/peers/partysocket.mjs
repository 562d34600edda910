import { WebSocket as Reconnecting } from "partysocket";
import { events } from "./events.mjs";

// It has no requests: these are the usual map.
export function connect(url) {
  const ws = new Reconnecting(url);
  const asked = new Map();
  const client = events();
  ws.onopen = () => (client.state = "open");
  ws.onclose = () => (client.state = "waiting");
  ws.onmessage = ({ data }) => {
    const { n, id, answer } = JSON.parse(data);
    if (n) client.push(n);
    else asked.get(id)?.({ bdy: answer });
  };
  client.request = (_, ask) =>
    new Promise((resolve) => {
      const id = asked.size + 1;
      asked.set(id, resolve);
      ws.send(JSON.stringify({ id, ask }));
    });
  return client;
}
