// Validates the description of the protocol, and then messages against it: files of JSON
// lines, {"from": "server" or "client", "message": …}.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
import Ajv from "ajv";
import formats from "ajv-formats";

const [description, ...files] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(readFileSync(description, "utf8"));
const wrong = diagnostics.filter((d) => d.severity === 0);
if (!document || wrong.length) throw new Error(JSON.stringify(wrong, null, 2));

const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
const { schemas } = document.json().components;
const validators = {};
const plain = (schema) => JSON.parse(JSON.stringify(schema));
for (const name of Object.keys(schemas)) validators[name] = ajv.compile(plain(schemas[name]));

const known = { server: ["connection", "accepted", "error", "gap", "pong"], client: ["ping", "ack", "auth", "reconnect"] };
const other = { server: "delivered", client: "said" };
let n = 0;
const faults = [];
for (const file of files)
	for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
		const { from, message } = JSON.parse(line);
		const type = from === "server" ? message.typ : message.to.endsWith("hydra-router:/") && message.type;
		const name = known[from].includes(type) ? type : other[from];
		n++;
		if (!validators[name](message)) faults.push(`${name}: ${JSON.stringify(message)}: ${ajv.errorsText(validators[name].errors)}`);
	}
if (faults.length) throw new Error(`${faults.length} of ${n} messages\n${faults.slice(0, 10).join("\n")}`);
console.log(`${n} messages`);
