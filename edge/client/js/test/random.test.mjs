// Schedules at random: a node of the test's own that keeps sessions, mailboxes and what was
// stored, and a line that breaks at any frame, either way. SEED=n plays one, SEEDS=n so many.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { connect } from "../hydrant.js";
import { CAPS, ROUTER, randoms } from "./fake.mjs";

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: Number(process.env.SEEDS ?? 100) }, (_, i) => i + 1);

class World {
	sockets = [];
	sessions = new Map();
	stored = new Map(); // by mid: how often
	known = new Map(); // by sender and mid: when it was stored
	heard = new Map(); // by services, by mid
	calm = false;
	last = 0;

	constructor(seed) {
		this.random = randoms(seed);
		const world = this;
		this.Socket = class {
			readyState = 0;
			constructor(url, protocols) {
				world.sockets.push(this);
				this.protocols = protocols;
				world.later(() => world.greet(this));
			}
			send(text) {
				assert.equal(this.readyState, 1, "written to a socket that is not open");
				world.later(() => world.take(this, JSON.parse(text)), this);
			}
			close() {
				world.drop(this);
			}
		};
	}

	below(n) {
		return Math.floor(this.random() * n);
	}

	/** A frame is on its way, on lines that keep their order, and may be the last one. */
	later(f, socket, to = "in") {
		const at = Math.max(socket?.[to] ?? 0, Date.now() + this.below(80));
		if (socket) socket[to] = at;
		setTimeout(() => {
			if (socket?.gone) return;
			if (socket && !this.calm && this.random() < 0.03) return this.cut(socket);
			f();
		}, at - Date.now());
	}

	cut(socket) {
		this.drop(socket);
		if (this.random() < 0.5) return; // without a word
		setTimeout(() => socket.onclose?.({ code: 1006, reason: "" }), this.below(50));
	}

	drop(socket) {
		socket.gone = true;
		socket.readyState = 3;
		if (socket.session?.socket === socket) socket.session.socket = undefined;
	}

	tell(socket, message) {
		this.later(() => socket.onmessage?.({ data: JSON.stringify({ mid: `r${++this.last}`, ...message }) }), socket, "out");
	}

	greet(socket) {
		if (socket.gone || (!this.calm && this.random() < 0.1)) return this.cut(socket);
		const [, , id, token, attempt, seq] = /^(umf\.resume)\.(\w+)\.(\w+)\.(\d+)\.(\d+)$/.exec(socket.protocols.at(-1)) ?? [];
		let session = this.sessions.get(id);
		const resumed = id ? session?.token === token : undefined;
		if (resumed) {
			assert.ok(Number(attempt) > session.attempt, "the attempt does not grow");
			session.attempt = Number(attempt);
			session.floor = Math.max(session.floor, Number(seq));
			if (session.socket) this.cut(session.socket);
		} else {
			const n = this.sessions.size + 1;
			session = { id: `S${n}`, token: `T${n}`, attempt: 1, mail: [], floor: 0 };
			this.sessions.set(session.id, session);
		}
		socket.readyState = 1;
		socket.session = session;
		session.socket = socket;
		session.sent = session.floor;
		const bdy = { id: session.id, token: resumed ? undefined : session.token, caps: CAPS, hb: 5, resumed, why: resumed === false ? "expired" : null };
		this.tell(socket, { frm: ROUTER, typ: "connection", bdy });
		this.deliver(session);
	}

	deliver(session) {
		if (!session.socket) return;
		for (const m of session.mail)
			if (Number(m.hdr["x-seq"]) > session.sent && session.sent - session.floor < 60) {
				session.sent = Number(m.hdr["x-seq"]);
				this.tell(session.socket, m);
			}
	}

	post(session, m) {
		session.mail.push({ frm: "svc:/", mid: `p${++this.last}`, ...m, hdr: { "x-seq": `${3 * session.mail.length + 3}`, "x-prev": `${3 * session.mail.length}` } });
		this.deliver(session);
	}

	take(socket, m) {
		const { session } = socket;
		const accept = () => this.later(() => this.tell(socket, { frm: ROUTER, rmid: m.mid, typ: "accepted", bdy: {} }), socket, "slow");
		if (m.type === "ping") this.tell(socket, { rmid: m.mid, typ: "pong", bdy: {} });
		else if (m.type === "ack") {
			assert.ok(Number(m.body.seq) <= session.sent, `${m.body.seq} is confirmed, ${session.sent} was sent`);
			session.floor = Math.max(session.floor, Number(m.body.seq));
			this.deliver(session);
		} else if (m.to.endsWith("@client:/")) {
			const key = `${m.from} ${m.mid}`;
			if (!(Date.now() - this.known.get(key) < 60_000)) {
				this.known.set(key, Date.now());
				this.stored.set(m.mid, (this.stored.get(m.mid) ?? 0) + 1);
			}
			accept();
		} else {
			this.heard.set(m.mid, (this.heard.get(m.mid) ?? 0) + 1);
			if (m.headers?.["x-ack"]) accept();
			else setTimeout(() => this.post(session, { frm: m.to, rmid: m.mid, bdy: { answer: m.body } }), this.below(400));
		}
	}

	/** The session ends, as one that was away for too long. */
	expire(id) {
		const session = this.sessions.get(id);
		if (!session) return;
		session.token = "";
		if (session.socket) this.cut(session.socket);
	}
}

async function play(seed) {
	mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 });
	const world = new World(seed);
	const { random } = world;
	mock.method(Math, "random", random);
	const expires = seed % 5 === 0;
	const client = connect("ws://node", { WebSocket: world.Socket, backoff: { min: 50, max: 2000 }, timeout: 3000 });
	const outcomes = new Map();
	const got = [];
	const errors = [];
	client.on("error", (error) => errors.push(error));
	client.on("message", (m) => got.push(m.bdy.n));
	client.handle("slow", (m) => new Promise((resolve) => setTimeout(() => resolve(got.push(m.bdy.n)), world.below(300))));
	const pass = async (ms, step = 10) => {
		for (let i = 0; i < ms; i += step) {
			mock.timers.tick(step);
			await null;
			await new Promise((resolve) => setImmediate(resolve));
		}
	};
	const hand = (kind, n) => {
		const mid = `${kind}${n}`;
		outcomes.set(mid, []);
		const promise =
			kind === "ask" ? client.request("svc:/", { n }, { mid, timeout: 60_000 }) : client.send(kind === "say" ? "S0@client:/" : "svc:/", { n }, { mid });
		promise.then(
			(m) => outcomes.get(mid).push(m ? `answer ${m.bdy.answer.n}` : "accepted"),
			(error) => outcomes.get(mid).push(error.code),
		);
	};
	let pushed = 0;
	for (let n = 1; n <= 60; n++) {
		hand(["say", "tell", "ask"][world.below(3)], n);
		const session = world.sessions.get(client.session); // others know no other
		if (session && random() < 0.7) world.post(session, { typ: random() < 0.3 ? "slow" : undefined, bdy: { n: ++pushed } });
		if (expires && random() < 0.03) world.expire(client.session);
		await pass(10 * world.below(25));
	}
	world.calm = true;
	await pass(75_000, 50);
	try {
		for (const [mid, list] of outcomes) {
			const [outcome] = list;
			assert.equal(list.length, 1, `${mid} has the outcomes ${JSON.stringify(list)}`);
			const n = world.stored.get(mid) ?? 0;
			const heard = world.heard.get(mid) ?? 0;
			if (mid.startsWith("ask")) assert.ok(outcome === `answer ${mid.slice(3)}` && heard > 0, `${mid}: ${outcome}`);
			else if (outcome === "accepted") assert.ok(mid.startsWith("say") ? n === 1 : heard === 1, `${mid} is accepted, stored ${n}, heard ${heard}`);
			else assert.ok(outcome === "unknown" && n <= 1 && heard <= 1, `${mid}: ${outcome}, stored ${n}, heard ${heard}`);
		}
		const inOrder = got.every((n, i) => i === 0 || n > got[i - 1]);
		assert.ok(inOrder, `the order is ${got}`);
		if (!expires) assert.equal(got.length, pushed, `${got} of ${pushed}`);
		assert.deepEqual(errors, []);
	} finally {
		client.close();
		mock.restoreAll();
		mock.timers.reset();
	}
}

test(`${seeds.length} schedules at random`, async (t) => {
	for (const seed of seeds) {
		try {
			await play(seed);
		} catch (error) {
			throw new Error(`SEED=${seed}: ${error.message}`, { cause: error });
		}
	}
	t.diagnostic(`seeds ${seeds[0]} to ${seeds.at(-1)}`);
});
