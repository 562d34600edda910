import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { CAPS, Memory, ROUTER, Socket, accepted, client, message, opened, outcome, pass, refused, settle } from "./fake.mjs";

const equal = assert.deepEqual;
let open = [];
const start = async (...args) => (open.push(await opened(...args)), open.at(-1));
const knock = async (...args) => (open.push(await client(...args)), open.at(-1));

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 }));
afterEach(async () => {
	for (const { c } of open) c.close();
	open = [];
	await settle();
	mock.timers.reset();
});

/** the next connection, after the pause */
const again = async (body) => {
	const n = Socket.all.length;
	await pass(30_001);
	assert.equal(Socket.all.length, n + 1, "it comes back once");
	if (body) Socket.last.welcome(body);
	await settle();
	return Socket.last;
};

describe("outcomes", () => {
	test("accepted, refused, and told once", async () => {
		const { c } = await start();
		const [a, b, x] = [outcome(c.send("svc:/", { a: 1 })), outcome(c.send("S2@client:/", "text")), outcome(c.send("jobs:/", 1, { queue: true, type: "t", headers: { h: 1 } }))];
		const [first, second, third] = Socket.last.of();
		equal([first.to, first.from, first.headers, first.body], ["svc:/", "S1@client:/", { "x-ack": true }, { a: 1 }]);
		equal([third.to, third.forward, third.type, third.headers], ["hydra-router:/queue", "jobs:/", "t", { h: 1, "x-ack": true }]);
		Socket.last.say(accepted(first));
		Socket.last.say(refused(second, "overload", { retry: 700 }));
		Socket.last.say(accepted(second));
		Socket.last.say(refused(first, "timeout"));
		await settle();
		equal([a, b, x], [["ok"], ["overload"], []]);
		c.close();
		await settle();
		equal(x, ["unknown"]);
	});

	test("what waits is written in order, and bounded", async () => {
		const { c } = await knock({ queue: { messages: 3 } });
		const all = [1, 2, 3, 4].map((n) => outcome(c.send("svc:/", n)));
		await settle();
		equal(all[3], ["full"]);
		Socket.last.welcome();
		equal(Socket.last.of().map((m) => m.body), [1, 2, 3]);
		equal(outcome(c.send("svc:/", 5)), []);
		const { c: small } = await start({ queue: { bytes: 100 } });
		const big = outcome(small.send("svc:/", "x".repeat(100)));
		await settle();
		equal(big, ["full"]);
	});

	test("a falsy body, and a mid twice, go nowhere", async () => {
		const { c } = await start();
		const bad = [0, "", false, null].map((body) => outcome(c.send("svc:/", body)));
		const twice = [outcome(c.send("svc:/", 1, { mid: "m" })), outcome(c.send("svc:/", 1, { mid: "m" }))];
		await settle();
		equal([...bad, twice[1]], [["invalid"], ["invalid"], ["invalid"], ["invalid"], ["duplicate"]]);
		const cyclic = {};
		cyclic.it = cyclic;
		await assert.rejects(c.send("svc:/", cyclic), TypeError);
		equal(Socket.last.of().length, 1);
	});

	test("a lost connection: stored ones go again, within their time; those to services are unknown", async () => {
		const { c } = await start();
		const to = { service: "svc:/", session: "S2@client:/", via: "R9-S2@hydra-router:/" };
		const told = Object.fromEntries(Object.entries(to).map(([name, to]) => [name, outcome(c.send(to, 1))]));
		told.work = outcome(c.send("jobs:/", 1, { queue: true }));
		told.done = outcome(c.send("S2@client:/", 2));
		const before = Socket.last.of();
		Socket.last.say(accepted(before.find((m) => m.body === 2)));
		Socket.last.end();
		await settle();
		equal(told, { service: ["unknown"], session: [], via: [], work: [], done: ["ok"] });
		await again({ resumed: true, token: undefined });
		equal(Socket.last.of().map((m) => m.mid), before.filter((m) => m.to !== "svc:/" && m.body === 1).map((m) => m.mid));
		Socket.last.end();
		await pass(21_000); // 50 s since they were written
		equal(told, { service: ["unknown"], session: ["unknown"], via: ["unknown"], work: ["unknown"], done: ["ok"] });
	});

	test("a fresh session: nothing of the former one is sent again but questions", async () => {
		const { c, told } = await start();
		const said = outcome(c.send("S2@client:/", 1));
		const asked = [outcome(c.request("svc:[GET]/x", {}, { timeout: 1e6 })), outcome(c.request("svc:/", {}, { repeat: false, timeout: 1e6 }))];
		Socket.last.end();
		const waits = outcome(c.send("S2@client:/", 2));
		await again({ id: "S3", token: "T3", resumed: false, why: "expired" });
		equal([said, asked[1]], [["unknown"], ["unknown"]]);
		equal(Socket.last.of().map((m) => [m.to, m.from]), [["svc:[GET]/x", "S3@client:/"], ["S2@client:/", "S3@client:/"]]);
		equal([asked[0], waits], [[], []]);
		equal(told.session, [{ id: "S1", resumed: false, why: null }, { id: "S3", resumed: false, why: "expired" }]);
	});

	test("requests: answers, errors, time, abortion, and asked again after a resume", async () => {
		const { c, told } = await start();
		const stop = new AbortController();
		const asked = [outcome(c.request("svc:[GET]/a")), outcome(c.request("svc:[GET]/b")), outcome(c.request("svc:/c", 1, { timeout: 500 })), outcome(c.request("svc:/d", 1, { signal: stop.signal })), outcome(c.request("svc:/e", 1, { timeout: 1e6 })), outcome(c.request("svc:/f", 1, { timeout: 1e6, repeat: false }))];
		const [a, b, , , e, f] = Socket.last.of();
		equal(a.headers, undefined);
		Socket.last.say({ to: "S1@client:/", frm: "svc:[GET]/a", mid: "x", rmid: a.mid, bdy: { a: 1 } });
		Socket.last.say({ to: "S1@client:/", frm: "svc:[GET]/b", mid: "y", rmid: b.mid, typ: "error", bdy: { error: "gone", code: "no_instances" } });
		stop.abort("enough");
		await pass(500);
		equal(asked, [[{ a: 1 }], ["no_instances"], ["timeout"], ["enough"], [], []]);
		Socket.last.end();
		await again({ resumed: true });
		equal(Socket.last.of().map((m) => m.mid), [e.mid]);
		Socket.last.say(message(1, { frm: "svc:/e", rmid: e.mid, bdy: "answer" }));
		Socket.last.say(message(2, { frm: "svc:/e", mid: "other", rmid: e.mid, bdy: "the same" }));
		Socket.last.say(message(3, { frm: "svc:/f", rmid: f.mid, bdy: "late" }));
		await settle();
		equal(asked.slice(4), [["answer"], ["late"]]);
		equal(told.message, []);
		await pass(50);
		equal(Socket.last.of("ack").map((m) => m.body), [{ seq: "3" }]);
	});

	test("closed: what was never written, and what was, are told apart", async () => {
		const { c } = await start();
		const written = outcome(c.send("svc:/", 1));
		Socket.last.end();
		const waits = outcome(c.send("svc:/", 2));
		c.close();
		const late = outcome(c.send("svc:/", 3));
		await settle();
		equal([written, waits, late], [["unknown"], ["closed"], ["closed"]]);
		await assert.rejects(c.ready(), { code: "closed" });
	});
});

describe("what arrives", () => {
	test("in order, once, one at a time, confirmed when it is handled", async () => {
		const { c, told } = await start();
		const done = [];
		const waits = [];
		c.handle("slow", (m) => new Promise((resolve) => waits.push(() => resolve(done.push(m.bdy.n)))));
		for (const n of [1, 2, 3]) Socket.last.say(message(n, { typ: "slow" }));
		Socket.last.say(message(4));
		await pass(60_000); // a minute
		equal([waits.length, told.message.length, Socket.last.of("ack")], [1, 0, []]);
		for (let i = 0; i < 3; i++) {
			waits[i]();
			await pass(50);
		}
		equal([done, told.message.map((m) => m.bdy.n)], [[1, 2, 3], [4]]);
		equal(Socket.last.of("ack").map((m) => m.body.seq), ["1", "2", "4"]);
	});

	test("a handler that throws is told, and its message confirmed", async () => {
		const { c, told } = await start();
		c.handle("bad", () => {
			throw new Error("mine");
		});
		Socket.last.say(message(1, { typ: "bad" }));
		Socket.last.say(message(2));
		await pass(50);
		equal([told.error.map((e) => e.message), told.message.length], [["mine"], 1]);
		equal(Socket.last.of("ack").map((m) => m.body.seq), ["2"]);
	});

	test("repetitions after a resume do not reach the application, and are confirmed", async () => {
		const { c, told } = await start();
		let end;
		c.handle("slow", () => new Promise((resolve) => (end = resolve)));
		Socket.last.say(message(1));
		Socket.last.say(message(2, { typ: "slow" }));
		Socket.last.say(message(3));
		await settle();
		Socket.last.end();
		await again({ resumed: true });
		assert.match(Socket.last.protocols.at(-1), /^umf\.resume\.S1\.T1\.2\.1$/);
		for (const n of [2, 3, 4]) Socket.last.say(message(n, n === 2 ? { typ: "slow" } : {}));
		await pass(50);
		equal(Socket.last.of("ack"), []);
		end();
		await pass(50);
		equal([told.message.map((m) => m.bdy.n), Socket.last.of("ack").map((m) => m.body.seq)], [[1, 3, 4], ["4"]]);
		Socket.last.say(message(5, { mid: "m4" }));
		await settle();
		equal(told.message.length, 3);
	});

	test("what has come of a session that ends is shown all the same, and keeps nothing of the next one back", async () => {
		const { c, told } = await start();
		let end;
		c.handle("slow", () => new Promise((resolve) => (end = resolve)));
		Socket.last.say(message(50, { typ: "slow" }));
		Socket.last.say(message(51));
		Socket.last.end();
		await again({ id: "S3", token: "T3", resumed: false, why: "expired" });
		Socket.last.say(message(1, { mid: "next" }));
		Socket.last.end();
		await again({ id: "S3", resumed: true });
		Socket.last.say(message(1, { mid: "next" }));
		Socket.last.say(message(2));
		end();
		await pass(50);
		equal(told.message.map((m) => m.bdy.n), [51, 1, 2]);
		equal(Socket.last.of("ack").map((m) => m.body.seq), ["2"]);
	});

	test("gaps stand in their place; after a rollback sequences begin again", async () => {
		const { told } = await start();
		Socket.last.say(message(7));
		Socket.last.say({ to: "S1@client:/", frm: ROUTER, mid: "g", typ: "gap", hdr: { "x-seq": "9", "x-prev": "7" }, bdy: { from: "8", to: "9", why: "overflow", lost: 2 } });
		Socket.last.say({ to: "S1@client:/", frm: ROUTER, mid: "h", typ: "gap", hdr: { "x-seq": "2", "x-prev": "9" }, bdy: { from: "1", to: "2", why: "rollback" } });
		Socket.last.say(message(3));
		await pass(50);
		equal(told.gap.map((g) => g.why), ["overflow", "rollback"]);
		equal(told.message.map((m) => m.bdy.n), [7, 3]);
		equal(Socket.last.of("ack").map((m) => m.body.seq), ["3"]);
	});

	test("what is malformed, or from someone else than the router, is told and ignored", async () => {
		const { c, told } = await start();
		const said = outcome(c.send("S2@client:/", 1));
		const [m] = Socket.last.of();
		const evil = { frm: "evil:/" };
		const bad = ["", "null", "[]", "{", "1", "\u0000", { ...accepted(m), ...evil }, { to: "x", typ: "connection", ...evil, bdy: { id: "S9" } }, { typ: "gap", ...evil, bdy: { why: "x" } }, { typ: "accepted", rmid: m.mid, bdy: {} }, { frm: ROUTER, mid: "g", typ: "gap", bdy: null }, { frm: ROUTER, mid: "c", typ: "connection", bdy: { id: "S9" } }, { frm: ROUTER, mid: "e", typ: "error", bdy: 7 }, {}, { mid: 7, frm: "a:/", bdy: 1 }, message(1, { hdr: { "x-seq": "no" } })];
		for (const text of bad) Socket.last.say(text);
		await settle();
		assert.ok(told.error.length >= bad.length, `${told.error.length} errors of ${bad.length}`);
		equal([c.session, told.message, told.gap, said, c.state], ["S1", [], [], [], "open"]);
		Socket.last.say(message(2, { bdy: undefined }));
		Socket.last.say({ ...accepted(m), bdy: "whatever" });
		await pass(50);
		equal([said, Socket.last.of("ack").map((a) => a.body.seq)], [["ok"], ["2"]]);
	});

	test("a malformed welcome", async () => {
		for (const body of [{ id: 7 }, { id: "" }]) {
			const { told } = await knock();
			Socket.last.welcome(body);
			await settle();
			equal([told.error[0].code, Socket.last.left], ["protocol", true]);
		}
		const { c } = await knock();
		Socket.last.say(message(1));
		await settle();
		equal([Socket.last.left, c.state], [true, "waiting"]);
	});
});

describe("connections", () => {
	test("the pause grows, keeps the node's, and begins anew after one that lasted", async () => {
		mock.method(Math, "random", () => 0.999);
		const { c } = await knock({ backoff: { min: 100, max: 1000 } });
		for (const pause of [100, 200, 400, 800, 1000, 1000]) {
			Socket.last.end();
			const n = Socket.all.length;
			await pass(pause * 0.99 - 1);
			equal([Socket.all.length, c.state], [n, "waiting"]);
			await pass(pause * 0.02 + 2);
			equal(Socket.all.length, n + 1);
		}
		Socket.last.welcome();
		Socket.last.end(1012, "retry after 3000 ms retry=5000");
		const n = Socket.all.length;
		await pass(4999);
		equal(Socket.all.length, n);
		await pass(1);
		Socket.last.welcome({ resumed: true });
		await pass(1001);
		Socket.last.end();
		await pass(100);
		equal(Socket.all.length, n + 2);
		mock.restoreAll();
	});

	test("silence is asked about, then left without waiting for its end", async () => {
		const { c } = await start();
		await pass(25_000);
		const [ping] = Socket.last.of("ping");
		Socket.last.say({ to: "S1@client:/", mid: "p", rmid: ping.mid, typ: "pong", bdy: {} });
		await pass(10_000);
		equal(c.state, "open");
		await pass(25_000);
		equal([Socket.last.of("ping").length, c.state], [2, "open"]);
		await pass(10_000);
		equal([c.state, Socket.all[0].left], ["waiting", true]);
		Socket.all[0].say(message(1)); // late: nobody hears it
	});

	test("4501 and its like end it; other codes do not", async () => {
		for (const code of [4500, 4501, 4599]) {
			const { c } = await start();
			Socket.last.end(code, "another connection has the session");
			await settle();
			equal([c.state, Socket.all.length], ["closed", 1]);
			await assert.rejects(c.ready(), { code: String(code), message: "another connection has the session" });
		}
		for (const code of [1000, 1001, 1006, 1008, 1013, 4408, 4409, 4600]) {
			const { c } = await start();
			Socket.last.end(code);
			equal(c.state, "waiting");
		}
	});

	test("one that does not open, or does not greet", async () => {
		const { c } = await knock({ timeout: 1000 });
		await pass(1000);
		equal([c.state, Socket.last.left], ["waiting", true]);
	});

	test("ready", async () => {
		const { c } = await knock();
		const stop = new AbortController();
		const [yes, no] = [outcome(c.ready()), outcome(c.ready(stop.signal))];
		stop.abort("bored");
		await settle();
		equal([yes, no], [[], ["bored"]]);
		Socket.last.welcome();
		await settle();
		equal([yes, outcome(c.ready())], [["ok"], []]);
	});

	test("several nodes take turns", async () => {
		Socket.all = [];
		const { connect } = await import("../hydrant.js");
		const c = connect(["ws://a", "ws://b"], { WebSocket: Socket });
		open.push({ c });
		await settle();
		Socket.last.end();
		await again();
		Socket.last.end();
		await again();
		equal(Socket.all.map((s) => s.url), ["ws://a", "ws://b", "ws://a"]);
	});
});

describe("sessions", () => {
	test("a node that does not know the offer, or cannot resume by it, is asked by reconnect", async () => {
		for (const [outcome, session] of [[true, "S1"], [false, "S2"]]) {
			const { c, told } = await start();
			Socket.last.say(message(4));
			await pass(50);
			Socket.last.end();
			await again();
			Socket.last.welcome({ id: "S2", token: "T2" });
			equal(c.state, "connecting");
			const [m] = Socket.last.of("reconnect");
			equal([m.from, m.body], ["S2@client:/", { id: "S1", token: "T1", attempt: 2, seq: "4" }]);
			Socket.last.welcome({ id: session, token: undefined, resumed: outcome, why: outcome ? null : "expired" });
			equal([c.state, c.session, told.session.at(-1).resumed], ["open", session, outcome]);
			Socket.last.end();
			await again();
			assert.match(Socket.last.protocols.at(-1), outcome ? /^umf\.resume\.S1\.T1\.3\.4$/ : /^umf\.resume\.S2\.T2\.3\.0$/);
			c.close();
		}
	});

	test("a server of the first edition", async () => {
		const { c, told } = await start({}, { caps: undefined, token: undefined, now: undefined, hb: undefined, resumed: undefined });
		const [a, b, x] = [outcome(c.send("svc:/", 1)), outcome(c.send("nosuch:/", 2)), outcome(c.send("S2@client:/", 3))];
		await settle();
		const [ping] = Socket.last.of("ping");
		equal(Socket.last.of().map((m) => m.headers), [undefined, undefined, undefined]);
		Socket.last.say({ to: "client:/", frm: ROUTER, mid: "e", rmid: Socket.last.of()[1].mid, typ: "error", bdy: { error: "No nosuch instances available" } });
		await settle();
		equal(a, []);
		Socket.last.say({ to: "S1@client:/", mid: "p", rmid: ping.mid, typ: "pong", bdy: { typ: "pong" } });
		await settle();
		equal([a, b, x], [["ok"], ["error"], ["ok"]]);
		Socket.last.say({ to: "S1@client:/", frm: "svc:/", mid: "m", bdy: 1 });
		await pass(1000);
		equal([told.message.length, Socket.last.of("ack").length, Socket.last.of("auth").length], [1, 0, 0]);
		const lost = outcome(c.send("S2@client:/", 4)); // it would be stored twice
		Socket.last.end();
		await again();
		equal([lost, Socket.last.protocols.length], [["unknown"], 1]);
		Socket.last.welcome({ id: "S2", caps: undefined, token: undefined });
		equal(Socket.last.of("reconnect")[0].body.id, "S1");
		Socket.last.welcome({ id: "S1", caps: undefined, token: undefined });
		equal([c.state, c.session, told.session.at(-1).resumed], ["open", "S1", true]);
	});

	test("kept, gone on with, and forgotten", async () => {
		const storage = new Memory();
		const { c } = await start({ storage });
		Socket.last.say(message(3));
		await pass(50);
		c.close();
		const { c: next } = await knock({ storage });
		equal(Socket.last.protocols.at(-1), "umf.resume.S1.T1.2.3");
		Socket.last.welcome({ resumed: true, token: undefined });
		next.close({ forget: true });
		equal(storage.items.size, 0);
	});

	test("storage that is full, forbidden or full of nonsense", async () => {
		const full = new Memory();
		full.setItem = () => {
			throw new Error("QuotaExceededError");
		};
		const forbidden = { getItem: () => { throw new Error("SecurityError"); } };
		for (const storage of [full, forbidden]) {
			const { c, told } = await start({ storage });
			equal([c.state, told.error.map((e) => e.code)], ["open", ["storage"]]);
			Socket.last.end();
			await again({ resumed: true });
			equal([c.session, told.error.length], ["S1", 1]);
			c.close({ forget: true });
		}
		for (const text of ["", "{", "null", "7", '{"id":7}', '{"id":"S1","secret":"a b","attempt":1,"done":"1","caps":["resume"]}', '{"id":"S1","secret":"a","attempt":"x","done":"1","caps":[]}']) {
			const storage = new Memory();
			storage.getItem = () => text;
			const { c, told } = await start({ storage });
			equal([c.state, told.error, Socket.last.protocols.length], ["open", [], 1]);
		}
	});

	test("a copied tab waits a second for the lock, and then has a session of its own", async () => {
		const names = [];
		const locks = {
			taken: true,
			request(name, { signal }, fn) {
				names.push(name);
				return new Promise((resolve, reject) => {
					if (!locks.taken) return resolve(fn());
					signal.addEventListener("abort", () => reject(signal.reason));
				});
			},
		};
		const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
		Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
		try {
			const storage = new Memory();
			storage.setItem("hydrant ws://node", JSON.stringify({ id: "S1", secret: "T1", attempt: 3, done: "5", caps: CAPS }));
			await knock({ storage });
			equal(Socket.all.length, 0);
			await pass(1000);
			equal(Socket.last.protocols, ["umf.ack.v1"]);
			locks.taken = false;
			await knock({ storage });
			equal([Socket.last.protocols.at(-1), names[0]], ["umf.resume.S1.T1.4.5", "hydrant S1"]);
		} finally {
			if (navigator) Object.defineProperty(globalThis, "navigator", navigator);
			else delete globalThis.navigator;
		}
	});
});

describe("tokens", () => {
	test("shown, asked for once more when refused, and then it is over", async () => {
		const asked = [];
		const { c } = await knock({ token: (why) => (asked.push(why), `t${asked.length}`) });
		equal(Socket.last.protocols, ["umf.ack.v1", "umf.auth.t1"]);
		Socket.last.end(4401, "authentication failed");
		await again();
		equal([asked, Socket.last.protocols[1]], [["first", "refused"], "umf.auth.t2"]);
		Socket.last.welcome();
		Socket.last.end();
		await again({ resumed: true });
		equal(asked.length, 2);
		Socket.last.end(4401, "token expired");
		await again();
		equal(asked, ["first", "refused", "refused"]);
		Socket.last.end(4401, "authentication failed");
		await settle();
		equal(c.state, "closed");
		const { c: fixed } = await knock({ token: "t" });
		Socket.last.end(4401);
		equal(fixed.state, "closed");
	});

	test("renewed in place before it ends", async () => {
		const asked = [];
		const { c, told } = await start({ token: (why) => (asked.push(why), `t${asked.length}`) }, { exp: Date.now() + 100_000, hb: 1e6 });
		await pass(80_000);
		const [m] = Socket.last.of("auth");
		equal([asked, m.to, m.body], [["first", "expiring"], "hydra-router:/", { token: "t2" }]);
		Socket.last.say({ ...accepted(m), bdy: { exp: Date.now() + 50_000 } });
		await pass(40_000);
		const second = Socket.last.of("auth")[1];
		Socket.last.say(refused(second, "unavailable", { retry: 300 }));
		await pass(300);
		equal([Socket.last.of("auth").length, told.error.map((e) => e.code), c.state], [3, ["unavailable"], "open"]);
	});

	test("a provider that fails or hangs", async () => {
		for (const token of [() => { throw new Error("no"); }, () => Promise.reject(new Error("no")), () => new Promise(() => {})]) {
			const { c, told } = await knock({ token });
			await pass(10_000);
			equal([Socket.all.length, told.error.length > 0], [0, true]);
			assert.notEqual(c.state, "open");
			c.close();
		}
		let fail = false;
		const { c, told } = await start({ token: () => (fail ? Promise.reject(new Error("no")) : "t") }, { exp: Date.now() + 10_000 });
		fail = true;
		await pass(8000);
		equal([told.error.length, c.state], [1, "open"]);
		fail = false;
		await pass(5000);
		equal(Socket.last.of("auth").length, 1);
	});

	test("one that is asked for while another is still awaited has its own time", async () => {
		let slow;
		const token = (why) => (why === "first" ? "t" : why === "expiring" ? new Promise((resolve) => (slow = resolve)) : new Promise(() => {}));
		const { c, told } = await start({ token }, { exp: Date.now() + 10_000 });
		await pass(8000);
		Socket.last.end(4401, "token expired");
		await pass(700);
		slow("t2");
		await pass(10_000);
		equal([told.error.map((e) => e.code), c.state === "open"], [["token"], false]);
	});

	test("none is none; one that no socket takes ends it", async () => {
		await knock({ token: () => null });
		equal(Socket.last.protocols, ["umf.ack.v1"]);
		class Strict {
			constructor() {
				throw new SyntaxError("bad protocol");
			}
		}
		const { c } = await knock({ WebSocket: Strict, token: "a b" });
		equal(c.state, "closed");
	});
});

describe("signatures", () => {
	test("everything is signed, in the order in which it is said, and nothing goes twice", async () => {
		const texts = [];
		const sign = async (text) => {
			texts.push(text);
			await null;
			return createHmac("sha256", "secret").update(text).digest("hex");
		};
		const { c } = await start({ sign });
		const told = [outcome(c.send("S2@client:/", { b: 1, 1: 2 }, { ttl: 5 })), outcome(c.send("svc:/", "x"))];
		Socket.last.say(message(1));
		await pass(50);
		const sent = Socket.last.sent;
		equal(sent.map((m) => m.type ?? m.to), ["S2@client:/", "svc:/", "ack"]);
		for (const m of sent) {
			const { signature, ...rest } = m;
			assert.equal(signature, await sign(JSON.stringify(rest)));
			assert.ok(rest.timestamp && rest.version && rest.from === "S1@client:/");
		}
		Socket.last.end();
		await again({ resumed: true });
		equal([told, Socket.last.of().length], [[["unknown"], ["unknown"]], 0]);
		const { c: broken } = await start({ sign: () => { throw new Error("no key"); } });
		await assert.rejects(broken.send("svc:/", 1), /no key/);
	});
});

test("nothing is left after close", async () => {
	const listeners = new Set();
	const add = (kind, fn, { signal }) => {
		listeners.add(kind);
		signal.addEventListener("abort", () => listeners.delete(kind));
	};
	Object.assign(globalThis, { addEventListener: add, document: { addEventListener: add, visibilityState: "visible" } });
	const set = mock.method(globalThis, "setTimeout");
	const clear = mock.method(globalThis, "clearTimeout");
	const { c } = await opened({ token: () => "t" }, { exp: Date.now() + 1e6 });
	outcome(c.send("S2@client:/", 1));
	outcome(c.request("svc:/", 1, { signal: AbortSignal.abort ? new AbortController().signal : undefined }));
	Socket.last.say(message(1));
	await settle();
	assert.ok(listeners.size >= 5);
	c.close();
	await settle();
	const running = new Set(set.mock.calls.map((call) => call.result));
	for (const call of clear.mock.calls) running.delete(call.arguments[0]);
	equal([listeners.size, running.size, Socket.last.code], [0, 0, 1000]);
	delete globalThis.addEventListener;
	delete globalThis.document;
	mock.restoreAll();
});
