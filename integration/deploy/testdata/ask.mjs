// Asks what stands in JSON on standard input, with fetch or with node:http, and prints the
// answers as JSON. node:http opens a WebSocket, too.
import { createHash } from "node:crypto";
import http from "node:http";

const [kind, base] = process.argv.slice(2);
let input = "";
for await (const part of process.stdin) input += part;

function bodyOf({ Size, Text }) {
  if (Size) return Buffer.from(Uint8Array.from({ length: Size }, (_, i) => i * 7));
  return Text ? Buffer.from(Text) : undefined;
}

// pieces of a body whose length is not told.
async function* pieces(body) {
  for (let at = 0; at < body.length; at += 60_000) yield body.subarray(at, at + 60_000);
}

async function byFetch(request) {
  let body = bodyOf(request);
  const options = { method: request.Method, headers: request.Header ?? {}, body };
  if (request.Chunked) Object.assign(options, { body: ReadableStream.from(pieces(body)), duplex: "half" });
  const answer = await fetch(base + request.Path, options);
  return { status: answer.status, header: Object.fromEntries(answer.headers), body: Buffer.from(await answer.arrayBuffer()) };
}

const agent = new http.Agent({ keepAlive: true });

function byHTTP(request) {
  return new Promise((resolve, reject) => {
    const body = bodyOf(request);
    const headers = { ...request.Header };
    if (request.Chunked) headers["Transfer-Encoding"] = "chunked";
    else if (body) headers["Content-Length"] = body.length;
    const asked = http.request(base + request.Path, { method: request.Method, headers, agent }, async (answer) => {
      const parts = [];
      for await (const part of answer) parts.push(part);
      resolve({ status: answer.statusCode, header: answer.headers, body: Buffer.concat(parts) });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

function upgrade() {
  return new Promise((resolve, reject) => {
    const asked = http.request(base + "/", { agent, headers: {
      Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } });
    asked.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve(answer.headers["sec-websocket-accept"]);
    });
    asked.on("response", (answer) => reject(new Error(`an upgrade is answered with ${answer.statusCode}`)));
    asked.on("error", reject);
    asked.end();
  });
}

const answers = [];
for (const request of JSON.parse(input)) {
  const { status, header, body } = await (kind === "fetch" ? byFetch : byHTTP)(request);
  answers.push({
    Status: status, Header: header, Length: body.length,
    Sum: createHash("sha256").update(body).digest("hex"), Text: body.subarray(0, 400).toString(),
  });
}
if (kind === "http" && await upgrade() !== "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") throw new Error("another key is accepted");
agent.destroy();
console.log(JSON.stringify(answers));
