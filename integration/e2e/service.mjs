// A service on a bare NATS subscription: no kit, only the subject and respond().
import { connect } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL });
const subscription = nc.subscribe("umf.v1.svc.greeter", { queue: "greeter" });
await nc.flush();
console.log("listening");
for await (const m of subscription) {
  const msg = m.json();
  m.respond(JSON.stringify({
    to: msg.via, frm: "greeter:/", mid: crypto.randomUUID(), rmid: msg.mid,
    ts: new Date().toISOString(), ver: "UMF/1.4.6",
    bdy: { hello: msg.frm, session: m.headers.get("Umf-Session") },
  }));
}
