import { Centrifuge } from "centrifuge";
import { events } from "./events.mjs";

export function connect(url) {
  const centrifuge = new Centrifuge(`${url}/connection/websocket`);
  const client = events();
  centrifuge.on("connecting", () => (client.state = "waiting"));
  const channel = centrifuge.newSubscription("one");
  channel.on("publication", ({ data }) => client.push(data));
  channel.on("subscribing", () => (client.state = "waiting"));
  channel.on("subscribed", () => (client.state = "open"));
  channel.subscribe();
  centrifuge.connect();
  client.request = async (_, body) => ({ bdy: (await centrifuge.rpc("ask", body)).data });
  return client;
}
