// A client on the npm ws package: asks the service, loses its connection, and
// resumes on the other node. Prints what it saw as one JSON line.
import WebSocket from "ws";

const [first, second] = process.argv.slice(2);

function open(url) {
  const ws = new WebSocket(url);
  const inbox = [];
  let wake = () => {};
  ws.on("message", (data) => { inbox.push(JSON.parse(data)); wake(); });
  ws.on("close", (code) => { inbox.push({ typ: "closed", code }); wake(); });
  ws.on("error", (error) => { inbox.push({ typ: "failed", error: String(error) }); wake(); });
  const next = async () => {
    while (inbox.length === 0) await new Promise((resolve) => { wake = resolve; });
    return inbox.shift();
  };
  return { ws, next, send: (msg) => ws.send(JSON.stringify(msg)) };
}

const a = open(first);
const welcome = await a.next();
const id = welcome.bdy.id;
a.send({ to: "greeter:/", from: `${id}@client:/`, mid: "ask-1", body: { x: 1 } });
const answer = await a.next();
a.ws.terminate();

const b = open(second);
const other = await b.next();
b.send({ to: "hydra-router:/", from: `${other.bdy.id}@client:/`, mid: "again", type: "reconnection", body: { id } });
const resumed = await b.next();
b.send({ to: "greeter:/", from: `${id}@client:/`, mid: "ask-2", body: { x: 2 } });
const second_answer = await b.next();
console.log(JSON.stringify({ id, answer, resumed, second: second_answer }));
b.ws.close();
