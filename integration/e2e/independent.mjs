// A client that is written from edge/client/PROTOCOL.md, whose sections the numbers are,
// to see whether that says enough. It has no bounds, no storage and no signatures.
export function connect(urls, { WebSocket: Socket = WebSocket, token, timeout = 10_000 } = {}) {
  const listeners = {}, pending = new Map(), pings = new Map(), seen = new Set(), timers = {}, prefix = Math.random().toString(36).slice(2);
  let ws, router, greeting, secret, shown, why, need = token && "first", renewal, caps = [], hb = 25_000, clock = 0;
  let attempt = 0, last = "0", mids = 0, fails = 0, opened = Infinity, refused = false;
  const newMid = () => `${prefix}-${++mids}`;
  const tell = (event, ...args) => listeners[event]?.forEach((fn) => fn(...args));
  const become = (state) => ((client.state = state), tell("state", state));
  const after = (name, ms, fn) => (clearTimeout(timers[name]), (timers[name] = fn && setTimeout(fn, ms)));
  const write = (m, from = client.session) => ws.readyState === 1 && ws.send(JSON.stringify({ ...m, from: `${from}@client:/` })); // 2
  const own = (type, body, mid = newMid(), from) => (write({ to: "hydra-router:/", mid, type, body }, from), mid);
  const settle = (mid, code, value) => {
    const entry = pending.get(mid);
    pending.delete(mid);
    clearTimeout(entry?.timer);
    if (code) entry?.reject({ code });
    else entry?.resolve(value);
    return entry;
  };
  const storable = ({ m, at }) => caps.length > 0 && (m.forward || m.to.endsWith("@client:/")) && Date.now() - at < 50_000; // 5
  function put(mid, entry) {
    entry.at ||= Date.now();
    entry.on = ws;
    const told = !entry.asks && caps.includes("accepted");
    write(told ? { ...entry.m, headers: { ...entry.m.headers, "x-ack": true } } : entry.m); // 5
    if (!told && !entry.asks) pings.set(own("ping", {}), mid); // 12
  }
  function hand(to, body, { queue, timeout: ms = timeout, mid = newMid(), type, headers, ttl }, asks) {
    const m = queue ? { to: "hydra-router:/queue", forward: to, mid, type, headers, ttl, body } : { to, mid, type, headers, ttl, body }; // 4
    return new Promise((resolve, reject) => {
      if (client.state === "closed") return reject({ code: why });
      pending.set(mid, { m, asks, at: 0, resolve, reject, timer: asks && setTimeout(() => settle(mid, "timeout"), ms) });
      if (client.state === "open") put(mid, pending.get(mid));
    });
  }
  async function open() {
    if (need) shown = await token(need); // 8
    need = router = greeting = undefined;
    const offers = ["umf.ack.v1", ...(shown ? [`umf.auth.${shown}`] : [])]; // 3
    attempt++;
    if (caps.includes("resume")) offers.push(`umf.resume.${client.session}.${secret}.${attempt}.${last}`); // 7
    const list = [urls].flat();
    ws = new Socket(list[attempt % list.length], offers);
    ws.onmessage = ({ data }) => receive(JSON.parse(data));
    ws.onclose = ({ code, reason }) => lost(code, reason);
    ws.onerror = () => {};
    after("heart", timeout, () => lost());
    become("connecting");
  }
  function lost(code, reason = "") { // 11
    for (const name of ["heart", "ack", "renew"]) after(name);
    ws.onmessage = ws.onclose = null;
    ws.close();
    if (code === 4401 && token && !refused) [refused, need] = [true, "refused"];
    else if (code === 4401 || (code >= 4500 && code < 4600)) return end(String(code));
    for (const [mid, entry] of pending) if (entry.at && !entry.asks && !storable(entry)) settle(mid, "unknown");
    let bound = Math.min(30_000, 500 * 2 ** fails++);
    if (Date.now() - opened > bound) [fails, bound] = [1, 500];
    opened = Infinity;
    after("back", Math.max(/ retry=(\d+)$/.exec(reason)?.[1] ?? 0, Math.random() * bound), open);
    become("waiting");
  }
  function end(code) {
    why = code;
    Object.keys(timers).forEach((name) => after(name));
    for (const [mid, { at }] of pending) settle(mid, at ? "unknown" : code);
    become("closed");
  }
  function welcome({ frm, bdy }) { // 3
    router = frm;
    if (client.session && bdy.resumed === undefined && !greeting) { // 7
      greeting = bdy;
      return own("reconnect", { id: client.session, token: secret, attempt, seq: last }, newMid(), bdy.id);
    }
    if (!(bdy.resumed ?? bdy.id === client.session)) {
      [client.session, secret, last] = [bdy.id, bdy.token ?? greeting?.token, "0"];
      for (const [mid, { at, asks }] of pending) if (at && !asks) settle(mid, "unknown");
    }
    [caps, hb, clock, opened, refused] = [bdy.caps ?? [], bdy.hb ? 1000 * bdy.hb : hb, (bdy.now ?? Date.now()) - Date.now(), Date.now(), false];
    expires(bdy.exp);
    listen();
    become("open");
    for (const [mid, entry] of pending) if (entry.on !== ws) entry.at && !entry.asks && !storable(entry) ? settle(mid, "unknown") : put(mid, entry);
    tell("session", { id: bdy.id, resumed: !!bdy.resumed, why: bdy.why });
  }
  const expires = (exp) => exp && token && caps.includes("auth") && after("renew", 0.8 * (exp - clock - Date.now()), renew); // 8
  const renew = async () => (renewal = own("auth", { token: (shown = await token("expiring")) }));
  const listen = () => after("heart", hb, () => (own("ping", {}), after("heart", hb, () => lost()))); // 11
  function receive(m) {
    if (client.state === "open") listen();
    const routers = m.frm === router;
    if (client.state !== "open" && (!router || routers) && m.typ === "connection") return welcome(m);
    if (m.typ === "pong" && m.frm === undefined) return settle(pings.get(m.rmid));
    if (routers ? m.typ === "connection" : ["connection", "accepted", "gap"].includes(m.typ)) return tell("error", { code: "protocol" }); // 3
    if (routers && m.typ === "accepted") return m.rmid === renewal ? expires(m.bdy.exp) : settle(m.rmid);
    if (routers && m.typ === "error") { // 9
      if (settle(m.rmid, m.bdy.code)) return;
      if (m.rmid === renewal) after("renew", m.bdy.retry ?? 5000, renew);
      return tell("error", m.bdy);
    }
    const seq = m.hdr?.["x-seq"]; // 6
    const old = seq && BigInt(seq) <= BigInt(last) && m.bdy?.why !== "rollback";
    if (seq && !old) last = seq;
    if (seq) timers.ack || after("ack", 20, () => (after("ack"), own("ack", { seq: last })));
    if (m.typ === "gap") return old || tell("gap", m.bdy);
    if (old || seen.has(`${m.mid} ${m.frm}`)) return;
    seen.add(`${m.mid} ${m.frm}`);
    if (pending.get(m.rmid)?.asks) settle(m.rmid, m.typ === "error" && m.bdy.code, m);
    else tell("message", m);
  }
  const client = {
    state: "connecting",
    session: undefined,
    send: (to, body, options = {}) => hand(to, body, options, false).then(() => {}),
    request: (to, body, options = {}) => hand(to, body, options, true),
    on: (event, fn) => (listeners[event] ??= []).push(fn),
    close: () => (end("closed"), ws?.close()),
  };
  open();
  return client;
}
