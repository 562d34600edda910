// A service without a kit: a subscription, and respond().
import { connect } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL });
for await (const m of nc.subscribe("umf.v1.svc.greeter", { queue: "greeter" })) {
  const msg = m.json();
  m.respond(JSON.stringify({
    to: msg.via, frm: "greeter:/", mid: crypto.randomUUID(), rmid: msg.mid,
    ts: new Date().toISOString(), ver: "UMF/1.4.6", bdy: { hello: msg.frm },
  }));
}
