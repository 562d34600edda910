// A node that the test plays, and a clock of its own.
import { mock } from "node:test";

const { connect } = await import(process.env.CLIENT ?? "../hydrant.js"); // another one can play the same transcripts

export const ROUTER = "R1@hydra-router:/";
export const CAPS = ["resume", "ack", "accepted", "auth"];

/** A WebSocket whose other end is the test. */
export class Socket {
	/** @type {Socket[]} */
	static all = [];
	static get last() {
		return Socket.all.at(-1);
	}
	readyState = 0;
	sent = [];
	left = false;

	constructor(url, protocols) {
		this.url = url;
		this.protocols = protocols;
		Socket.all.push(this);
	}
	send(text) {
		if (this.readyState !== 1) throw new Error("written to a socket that is not open");
		this.sent.push(JSON.parse(text));
	}
	close(code) {
		this.readyState = 3;
		this.code = code;
		this.left = true;
	}
	/** the node says something */
	say(message) {
		this.readyState = Math.max(this.readyState, 1);
		this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
	}
	welcome(body = {}, frm = ROUTER) {
		this.say({ to: "S1@client:/", frm, mid: "w", typ: "connection", bdy: { id: "S1", token: "T1", caps: CAPS, ttl: 60, hb: 25, win: 256, now: Date.now(), ...body } });
	}
	/** the connection ends */
	end(code = 1006, reason = "") {
		this.readyState = 3;
		this.onclose?.({ code, reason });
	}
	/** what was sent last of a type; undefined: any that is not for the router */
	of(type) {
		return this.sent.filter((m) => (type ? m.type === type : !m.to.endsWith("router:/")));
	}
}

export const message = (n, more = {}) => ({ to: "S1@client:/", frm: "svc:/", mid: `m${n}`, hdr: { "x-seq": `${n}`, "x-prev": `${n - 1}` }, bdy: { n }, ...more });
export const accepted = (m) => ({ to: "S1@client:/", frm: ROUTER, mid: "a", rmid: m.mid, typ: "accepted", bdy: {} });
export const refused = (m, code, more = {}) => ({ to: "client:/", frm: ROUTER, mid: "e", rmid: m.mid, typ: "error", bdy: { error: "no", code, ...more } });

/** lets everything happen that needs no time */
export const settle = async () => {
	for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};
export const pass = async (ms) => {
	await settle();
	mock.timers.tick(ms);
	await settle();
};

export class Memory {
	items = new Map();
	getItem(key) {
		return this.items.get(key) ?? null;
	}
	setItem(key, value) {
		this.items.set(key, value);
	}
	removeItem(key) {
		this.items.delete(key);
	}
}

/** A client, and what it has told. The test must close it. */
export async function client(options = {}) {
	Socket.all = [];
	const c = connect("ws://node", { WebSocket: Socket, ...options });
	const told = { message: [], gap: [], error: [], state: [], session: [] };
	for (const event of Object.keys(told)) c.on(event, (...args) => told[event].push(event === "state" ? args[0] : args[0]));
	await settle();
	return { c, told };
}

export async function opened(options = {}, body = {}) {
	const all = await client(options);
	Socket.last.welcome(body);
	await settle();
	return all;
}

/** A promise's outcomes, as they come. */
export const outcome = (promise) => {
	const told = [];
	promise.then(
		(value) => told.push(value?.bdy ?? "ok"),
		(error) => told.push(error.code ?? error),
	);
	return told;
};

/** Random numbers from a seed (mulberry32). */
export function randoms(seed) {
	return () => {
		seed = (seed + 0x6d2b79f5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}
