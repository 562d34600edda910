// Plays the transcripts in ../../vectors.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { mock, test } from "node:test";
import { Socket, client, outcome, pass, settle } from "./fake.mjs";

const folder = new URL("../../vectors/", import.meta.url);

class Player {
	mids = {};
	outcomes = {};
	read = new Map(); // of each socket's messages
	got = 0;
	gaps = 0;
	errors = 0;
	sockets = 0;

	/** puts mids in the place of their names */
	named(value) {
		return JSON.parse(JSON.stringify(value), (_, v) => (typeof v === "string" && v[0] === "$" ? this.mids[v.slice(1)] : v));
	}

	async play({ options = {}, steps }) {
		const tokens = [...(options.token ?? [])];
		Object.assign(this, await client({ ...options, token: options.token && (() => tokens.shift()) }));
		for (const [i, step] of steps.entries()) {
			const [kind] = Object.keys(step);
			try {
				await this[kind](step);
			} catch (error) {
				error.message = `step ${i}, ${JSON.stringify(step)}: ${error.message}`;
				throw error;
			}
			await settle();
		}
		assert.deepEqual(this.told.message.slice(this.got), []);
		assert.deepEqual(this.told.error.slice(this.errors), []);
	}

	async opens({ opens }) {
		if (Socket.all.length === this.sockets) await pass(30_001);
		assert.equal(Socket.all.length, ++this.sockets);
		assert.deepEqual(Socket.last.protocols, opens);
	}
	server({ server }) {
		Socket.last.say(this.named(server));
	}
	closes({ closes, reason }) {
		Socket.last.end(closes, reason);
	}
	do({ do: verb, as, to, body, ...more }) {
		this.outcomes[as] = outcome(this.c[verb](to, body, more));
	}
	/** lets time pass until there is something, at most so long */
	async until(look, within = 0) {
		for (let passed = 0; !look() && passed < within; passed += 100) await pass(100);
	}
	/** what was sent but for confirmations */
	get sent() {
		return Socket.last.sent.filter((m) => m.type !== "ack");
	}
	async client({ client, as, within }) {
		const n = this.read.get(Socket.last) ?? 0;
		this.read.set(Socket.last, n + 1);
		await this.until(() => this.sent[n], within);
		const sent = this.sent[n];
		assert.ok(sent, "nothing more was sent");
		assert.deepEqual(Object.fromEntries(Object.keys(client).map((key) => [key, sent[key]])), this.named(client));
		if (as) this.mids[as] = sent.mid;
	}
	outcome({ outcome, is }) {
		assert.deepEqual(this.outcomes[outcome], [is === "accepted" ? "ok" : is]);
	}
	gets({ gets }) {
		assert.deepEqual(this.told.message[this.got++]?.bdy, gets);
	}
	gap({ gap }) {
		assert.deepEqual(this.told.gap[this.gaps++], gap);
	}
	error({ error }) {
		assert.equal(this.told.error[this.errors++]?.code, error);
	}
	async confirms({ confirms }) {
		const last = () => Socket.last.of("ack").at(-1)?.body.seq;
		await this.until(() => last() === confirms, 1000);
		assert.equal(last(), confirms);
	}
	async state({ state, within }) {
		await this.until(() => this.c.state === state, within);
		assert.equal(this.c.state, state);
	}
	session({ session }) {
		assert.equal(this.c.session, session);
	}
	async wait({ wait }) {
		await pass(wait);
	}
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")))
	for (const vector of JSON.parse(readFileSync(new URL(file, folder), "utf8")))
		test(`${file}: ${vector.about}`, async () => {
			mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1768248989157 });
			const player = new Player();
			try {
				await player.play(vector);
			} finally {
				player.c?.close();
				mock.timers.reset();
			}
		});
