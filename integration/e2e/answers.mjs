// A service that does what bus/testdata/answers.json tells a handler to do, and another
// one that has no handler for it.
import { readFileSync } from "node:fs";
import { connectService, Failure } from "hydrant-bus";

const cases = new Map(JSON.parse(readFileSync(process.env.ANSWERS, "utf8")).map((c) => [c.name, c.do ?? []]));

async function perform(request) {
  const name = request.params.name ?? request.body.case;
  for (const what of cases.get(name)) {
    if ("reply_nothing" in what) await request.reply();
    else if ("reply_size" in what) await request.reply("x".repeat(what.reply_size));
    else if ("fail" in what) throw new Failure(what.code, what.fail);
    else if ("throw" in what) throw new Error(what.throw);
    else if ("panic" in what) throw what.panic; // no error at all
    else if ("wait" in what) await new Promise((resolve, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    else if ("respond" in what) await request.reply(what.respond, { status: what.status, headers: what.headers });
    else await request.reply(what.reply, { type: what.type, headers: what.headers });
  }
}

const answers = await connectService({ name: "answers" });
answers.handle(perform).route("[GET]/v1/answers/{name}", perform);

const others = await connectService({ name: "others" });
others.route("[GET]/v1/handled", perform).handle((request) => {
  if (request.method || request.message.type) throw new Failure("unsupported", "The service does not handle such messages");
  return perform(request);
});
