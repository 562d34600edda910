// Whatever a node, or somebody behind it, says: it is told as an error, never thrown, and
// what is right afterwards is understood. SEED=n plays one round, SEEDS=n so many.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { ROUTER, Socket, accepted, message, opened, outcome, pass, randoms, settle } from "./fake.mjs";

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: Number(process.env.SEEDS ?? 50) }, (_, i) => i + 1);

// JSON.parse, since a member of that name in a literal is no member.
const odd = JSON.parse(`[null, true, false, 0, 7, -1, 1e308, 1.5, "", "x", "12", "-3", [], [[]], {}, {"toString": 1, "valueOf": 1}, {"__proto__": 1},
	{"length": 3}, {"typ": "gap"}, ["resume", {"toString": null}], {"constructor": null}, "evil:/", "\\u0000\\ud800", {"x-seq": {"toString": 1, "valueOf": 1}}]`);
const types = ["connection", "accepted", "error", "gap", "pong", "x", undefined];
const bodies = [
	{ id: "S1", token: "T1", caps: ["ack", "accepted"], hb: 25, now: 1, exp: 2, user: "ann", resumed: true, why: null, authResponse: { identity: "ann" } },
	{ error: "no", code: "overload", retry: 5 },
	{ from: "1", to: "2", why: "overflow", lost: 1 },
	{ n: 1 },
	{},
];

class Liar {
	constructor(seed) {
		this.random = randoms(seed);
	}
	below(n) {
		return Math.floor(this.random() * n);
	}
	of(list) {
		return list[this.below(list.length)];
	}
	/** a message of the right shape, with something wrong in it */
	message(mids, greets) {
		const m = structuredClone({ to: "S1@client:/", frm: this.of([ROUTER, ROUTER, "evil:/", "R2@hydra-router:/", undefined]), mid: `m${this.below(9)}`, rmid: this.of([...mids, undefined]), typ: this.of(types), hdr: this.of([undefined, { "x-seq": "1" }]), bdy: this.of(bodies) });
		if (greets) m.frm = ROUTER; // nobody else can say the first message
		for (let n = this.below(3); n > 0; n--) this.spoil(this.of([m, m, m.bdy, m.hdr]));
		return m;
	}
	spoil(object) {
		const keys = object && typeof object === "object" ? Object.keys(object) : [];
		if (keys.length) object[this.of(keys)] = structuredClone(this.of([...odd, undefined]));
	}
	/** a frame that may be none */
	frame(mids, greets) {
		const text = JSON.stringify(this.message(mids, greets));
		const n = this.below(20);
		if (n === 0) return text.slice(0, this.below(text.length));
		if (n === 1) return JSON.stringify(this.of(odd));
		return text;
	}
}

async function play(seed) {
	mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 });
	const liar = new Liar(seed);
	const { c, told } = await opened({ token: seed % 2 ? () => "t" : undefined });
	c.handle("x", () => {});
	const thrown = [];
	const caught = (error) => thrown.push(error);
	process.on("unhandledRejection", caught);
	try {
		for (let n = 0; n < 60; n++) {
			const said = outcome(c.send("S2@client:/", { n }, { mid: `s${n}` }));
			const asked = outcome(c.request("svc:/", { n }, { mid: `q${n}` }));
			const was = { state: c.state, session: c.session, user: c.user, gaps: told.gap.length, errors: told.error.length };
			const text = liar.frame([`s${n}`, `q${n}`], c.state !== "open");
			const at = `SEED=${seed}, ${n}: ${text}`;
			try {
				Socket.last.say(text);
			} catch (error) {
				assert.fail(`${at} throws ${error.stack}`);
			}
			await settle();
			let m;
			try {
				m = JSON.parse(text);
			} catch {}
			if (was.state === "open" && m?.frm !== ROUTER) {
				const is = { state: c.state, session: c.session, user: c.user, gaps: told.gap.length };
				assert.deepEqual({ ...is, errors: was.errors }, was, at);
				assert.deepEqual(said, [], at);
				const claims = m === undefined || m === null || ["connection", "accepted", "gap"].includes(m.typ);
				assert.ok(!claims || told.error.length > was.errors, `${at} is not told`);
			}
			assert.ok(said.length <= 1 && asked.length <= 1, at);
			if (liar.below(8) === 0 && c.state !== "waiting") Socket.last.end(1006);
			if (c.state === "waiting") await pass(30_001); // and what comes next may be said to one that waits to be greeted
			if (c.state === "connecting" && liar.below(2)) Socket.last.welcome({ resumed: true, token: undefined });
			await settle();
		}
		// It understands a node that is in order.
		Socket.last.end(1006);
		if (c.state === "waiting") await pass(30_001);
		Socket.last.welcome({ id: c.session, resumed: true, token: undefined });
		await settle();
		const said = outcome(c.send("S2@client:/", 1, { mid: "last" }));
		Socket.last.say(accepted({ mid: "last" }));
		Socket.last.say(message(1000, { to: `${c.session}@client:/`, mid: "m1000" }));
		await pass(100);
		assert.deepEqual([c.state, said, told.message.at(-1)?.bdy], ["open", ["ok"], { n: 1000 }], `SEED=${seed}: ${JSON.stringify(told.error.slice(-3).map(String))}`);
		assert.deepEqual(Socket.last.of("ack").at(-1)?.body, { seq: "1000" }, `SEED=${seed}`);
		assert.deepEqual(thrown, [], `SEED=${seed}`);
		for (const error of told.error) assert.equal(error.name, "HydrantError", `SEED=${seed}: ${error?.stack}`);
	} finally {
		c.close();
		await settle();
		process.off("unhandledRejection", caught);
		mock.timers.reset();
	}
}

test(`${seeds.length} rounds of what is malformed, or from someone else than the router`, async () => {
	for (const seed of seeds) await play(seed);
});
