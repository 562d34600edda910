// The service of the tests: it does what its messages tell it to.
import { connectService, Failure } from "hydrant-bus";

const service = await connectService({ name: process.env.NAME ?? "shop", version: "1.2.3", logger: console });
process.once("SIGTERM", () => service.close());

/** What the kit says, as an answer. */
const outcome = async (promise) => promise.then((m) => m?.body ?? "done", (err) => ({ is: err.code }));

async function handle(request) {
  const { type } = request.message;
  const body = request.body;
  if (type === "echo") await request.reply(body);
  else if (type === "who") await request.reply([request.session, request.user]);
  else if (type === "push") await request.reply(await outcome(service.push(body.to, body.push)));
  else if (type === "numbers") {
    for (let n = body.from; n < body.to; n++) await service.push(request.session, { type: "number", body: { n } });
    await request.reply("done");
  } else if (type === "call") await request.reply(await outcome(service.call(body.to, body.body)));
  else if (type === "enqueue") await request.reply(await outcome(service.enqueue(body.to, body.body)));
  else throw new Failure("unknown", "What?");
}

service.handle(handle).route("[POST]/v1/items/{id}", (request) => request.reply({
  id: request.params.id, q: request.query.get("q"), body: request.body, type: request.header("content-type"),
}));

const tries = new Map();
if (process.env.WORK) {
  service.work(async (request) => {
    const { kind } = request.body;
    const n = (tries.get(kind) ?? 0) + 1;
    tries.set(kind, n);
    if (kind === "never" || (kind === "twice" && n < 2)) throw new Error("not yet");
    if (kind === "refuse") throw new Failure("refused", "Not that");
    await service.call("ledger", { kind, n, user: request.user, path: request.path });
    if (request.session) await request.reply({ kind, n });
  }, { backoff: 20, maxDeliver: 3, concurrency: 2 });
}
