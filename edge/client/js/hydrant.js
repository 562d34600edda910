// @ts-check

/**
 * A client of Hydrant. Its session outlives connections, nodes and, in a browser, a
 * reload of the page; each message that it is given has one outcome.
 *
 * @import {Message, Why, State, Options, SendOptions, RequestOptions, Events, Entry, Item} from "./types.js"
 */

const RESEND = 50_000; // the store knows a mid for 60 s
const SEEN = 1000;
const ACKS = 32;

export class HydrantError extends Error {
	/**
	 * @param {string} code
	 * @param {string} [text]
	 * @param {number} [retry]
	 */
	constructor(code, text, retry) {
		super(text ?? code);
		this.name = "HydrantError";
		/** the node's, or closed, duplicate, full, invalid, protocol, silent, storage, token, unknown */
		this.code = code;
		/** ms after which it may be tried again */
		this.retry = retry;
	}
}

/**
 * @param {string | string[]} url of a node, of several, or of their balancer
 * @param {Options} [options]
 */
export const connect = (url, options) => new Client(url, options);

export class Client {
	/** @type {string[]} */ #urls;
	/** @type {any} */ #o;
	/** @type {State} */ #state = "connecting";
	/** @type {Error | undefined} */ #why;
	#over = new AbortController();
	/** @type {Record<string, any>} */ #timers = {};
	/** @type {Map<string, Set<Function>>} */ #listeners = new Map();
	/** @type {Map<string, (message: Message) => any>} */ #handlers = new Map();

	// The session.
	#id = "";
	#secret = "";
	#attempt = 0;
	#caps = /** @type {string[]} */ ([]);
	/** @type {string | undefined} */ #user;
	#done = "0"; // handled
	#last = 0; // received
	/** @type {any} */ #storage;
	#release = () => {};

	// The connection.
	#turn = 0;
	#fails = 0;
	#opened = 0;
	/** @type {any} */ #ws;
	#frm = ""; // of the router on the node
	#router = "hydra-router:/";
	/** @type {Message | undefined} */ #fresh; // greeted with another session
	#hb = 25_000;
	#heard = 0;
	#frames = 0;
	/** @type {string | null | undefined} */ #token;
	/** @type {Why | ""} */ #need = "first";
	#clock = 0; // the server's, ahead of ours
	#renewal = "";
	#chain = Promise.resolve();

	// Messages.
	/** @type {Map<string, Entry>} */ #entries = new Map();
	#bytes = 0;
	/** @type {Map<string, string[]>} */ #pings = new Map();
	/** @type {string[] | undefined} */ #owed;
	/** @type {Item[]} */ #inbox = [];
	/** @type {Item | undefined} */ #doing;
	#unacked = 0;
	/** @type {Set<string>} */ #seen = new Set();
	#prefix = random();
	#mids = 0;

	/**
	 * @param {string | string[]} url
	 * @param {Options} [options]
	 */
	constructor(url, options = {}) {
		this.#urls = [url].flat();
		this.#o = {
			...options,
			WebSocket: options.WebSocket ?? globalThis.WebSocket,
			timeout: options.timeout ?? 10_000,
			confirm: options.confirm ?? true,
			backoff: { min: 500, max: 30_000, ...options.backoff },
			queue: { messages: 1000, bytes: 1 << 20, ...options.queue },
		};
		if (!this.#o.WebSocket) throw new TypeError("options.WebSocket is needed");
		const { document } = globalThis;
		const look = () => document?.visibilityState !== "hidden" && this.#look();
		for (const kind of ["online", "pageshow"]) globalThis.addEventListener?.(kind, look, this.#over);
		for (const kind of ["visibilitychange", "resume"]) document?.addEventListener?.(kind, look, this.#over);
		globalThis.addEventListener?.("pagehide", () => this.#confirm(), this.#over);
		Promise.resolve()
			.then(() => this.#restore())
			.then(() => this.#open());
	}

	get state() {
		return this.#state;
	}
	/** the address of the session is `${session}@client:/` */
	get session() {
		return this.#id || undefined;
	}
	get user() {
		return this.#user;
	}

	/**
	 * Resolves when messages reach the node.
	 * @param {AbortSignal} [signal]
	 * @returns {Promise<void>}
	 */
	ready(signal) {
		return new Promise((resolve, reject) => {
			const look = () => {
				if (this.#state === "open") resolve();
				else if (this.#state === "closed") reject(this.#why);
				else if (signal?.aborted) reject(signal.reason);
				else return;
				off();
				signal?.removeEventListener("abort", look);
			};
			const off = this.on("state", look);
			signal?.addEventListener("abort", look);
			look();
		});
	}

	/**
	 * Resolves when the message is accepted: stored, or handed to NATS for a service.
	 * @param {string} to
	 * @param {any} body
	 * @param {SendOptions} [options]
	 * @returns {Promise<void>}
	 */
	send(to, body, options = {}) {
		return this.#hand(to, body, options, false);
	}

	/**
	 * Resolves with the answer.
	 * @param {string} to
	 * @param {any} [body]
	 * @param {RequestOptions} [options]
	 * @returns {Promise<Message>}
	 */
	request(to, body, options = {}) {
		return this.#hand(to, body, options, true);
	}

	/**
	 * Takes messages of a type, one at a time; each is confirmed when fn has ended.
	 * @param {string} type "": without one
	 * @param {(message: Message) => any} fn
	 */
	handle(type, fn) {
		this.#handlers.set(type, fn);
	}

	/**
	 * @template {keyof Events} K
	 * @param {K} event
	 * @param {Events[K]} fn
	 * @returns {() => void} ends it
	 */
	on(event, fn) {
		const set = this.#listeners.get(event) ?? new Set();
		this.#listeners.set(event, set.add(fn));
		return () => void set.delete(fn);
	}

	/** @param {{forget?: boolean}} [options] forget: the session shall not go on */
	close({ forget } = {}) {
		if (this.#state === "closed") return;
		this.#confirm();
		this.#end(new HydrantError("closed"));
		if (forget) this.#keep((storage, key) => storage.removeItem(key));
	}

	// Events and timers.

	/**
	 * @param {keyof Events} event
	 * @param {any[]} args
	 */
	#tell(event, ...args) {
		const set = this.#listeners.get(event);
		if (event === "error" && !set?.size) console.error(...args);
		for (const fn of [...(set ?? [])]) {
			try {
				fn(...args);
			} catch (error) {
				if (event === "error") console.error(error);
				else this.#tell("error", error);
			}
		}
	}

	/**
	 * @param {State} state
	 * @param {Error} [why]
	 */
	#set(state, why) {
		if (this.#state === state) return;
		this.#state = state;
		this.#why = why;
		if (state === "open") this.#flush();
		this.#tell("state", state, why);
	}

	/**
	 * @param {string} name
	 * @param {number} [ms]
	 * @param {() => void} [fn]
	 */
	#after(name, ms, fn) {
		clearTimeout(this.#timers[name]);
		if (fn) this.#timers[name] = setTimeout(fn, Math.min(Math.max(ms ?? 0, 0), 2 ** 31 - 1));
	}

	// The session.

	async #restore() {
		const locks = globalThis.navigator?.locks;
		this.#storage = this.#o.storage;
		this.#keep((storage, key) => {
			if (storage === undefined) this.#storage = storage = locks ? globalThis.sessionStorage : null;
			const { id, secret, attempt, done, caps } = parse(storage?.getItem(key)) ?? {};
			if (!/^\w+ [\w-]* \d+ \d+$/.test(`${id} ${secret} ${attempt} ${done}`) || !Array.isArray(caps)) return;
			[this.#id, this.#secret, this.#attempt, this.#done, this.#caps] = [id, secret, attempt, done, caps];
			this.#last = Number(done);
		});
		// A copied tab finds its original's session, and the lock taken.
		if (this.#id && !(await this.#hold())) this.#id = this.#secret = "";
	}

	/** @param {(storage: any, key: string) => void} use */
	#keep(use) {
		try {
			if (this.#storage !== null) use(this.#storage, "hydrant " + this.#urls[0]);
		} catch (error) {
			this.#storage = null;
			this.#tell("error", new HydrantError("storage", String(error)));
		}
	}

	#save() {
		const [id, secret, attempt, done, caps] = [this.#id, this.#secret, this.#attempt, this.#done, this.#caps];
		this.#keep((storage, key) => storage.setItem(key, JSON.stringify({ id, secret, attempt, done, caps })));
	}

	/** @returns {Promise<boolean>} false: another page has the session */
	#hold() {
		this.#release();
		const { locks } = globalThis.navigator ?? {};
		if (!locks || !this.#storage) return Promise.resolve(true);
		const patience = new AbortController();
		this.#after("lock", 1000, () => patience.abort());
		return new Promise((held) => {
			const hold = () => {
				this.#after("lock");
				held(true);
				return new Promise((release) => {
					this.#release = () => release(0);
					if (this.#state === "closed") release(0);
				});
			};
			locks.request("hydrant " + this.#id, { signal: patience.signal }, hold).catch(() => held(false));
		});
	}

	// The connection.

	async #open() {
		if (this.#state === "closed") return;
		this.#after("back");
		this.#set("connecting");
		try {
			this.#token = this.#need ? await this.#ask(this.#need) : this.#token;
		} catch (error) {
			this.#tell("error", error);
			return this.#later();
		}
		if (this.#state !== "connecting") return;
		this.#need = "";
		this.#frm = "";
		this.#fresh = undefined;
		const protocols = [this.#o.confirm ? "umf.ack.v1" : "umf.v1"];
		if (this.#token) protocols.push("umf.auth." + this.#token);
		this.#attempt++;
		if (this.#secret && this.#caps.includes("resume"))
			protocols.push(["umf.resume", this.#id, this.#secret, this.#attempt, ...(this.#acks ? [this.#done] : [])].join("."));
		if (this.#id) this.#save();
		try {
			const WS = /** @type {any} */ (this.#o.WebSocket);
			const ws = (this.#ws = new WS(this.#urls[this.#turn++ % this.#urls.length], protocols));
			ws.onmessage = (/** @type {any} */ event) => this.#receive(event.data);
			ws.onclose = (/** @type {any} */ event) => this.#lost(event.code, event.reason);
			ws.onerror = () => {};
		} catch (error) {
			return this.#end(new HydrantError("invalid", String(error)));
		}
		this.#after("heart", this.#o.timeout, () => this.#lost());
	}

	/** @param {Why} why */
	async #ask(why) {
		const { token } = this.#o;
		if (typeof token !== "function") return token;
		return Promise.race([
			token(why),
			new Promise((_, reject) => this.#after(why, this.#o.timeout, () => reject(new HydrantError("token", "no token")))),
		]).finally(() => this.#after(why));
	}

	get #acks() {
		return this.#o.confirm && this.#caps.includes("ack");
	}

	/** Leaves a socket without waiting for its end. */
	#leave() {
		const ws = this.#ws;
		for (const name of ["heart", "renew", "ack"]) this.#after(name);
		this.#ws = undefined;
		this.#pings.clear();
		this.#owed = undefined;
		this.#unacked = 0;
		if (!ws) return;
		ws.onmessage = ws.onclose = null;
		if (this.#state !== "closed" && ws.terminate) ws.terminate();
		else ws.close(1000);
	}

	/**
	 * @param {number} [code]
	 * @param {string} [reason]
	 */
	#lost(code, reason = "") {
		this.#leave();
		if (code === 4401 && typeof this.#o.token === "function" && this.#token !== undefined && this.#opened >= 0) {
			this.#need = "refused";
			this.#opened = -1; // until it was let in again: once
		} else if (code === 4401 || (code && code >= 4500 && code < 4600)) {
			return this.#end(new HydrantError(String(code), reason));
		}
		const cap = this.#pause();
		if (this.#opened > 0 && Date.now() - this.#opened > cap) this.#fails = 0;
		this.#opened = Math.min(this.#opened, 0);
		for (const [mid, entry] of this.#entries) {
			if (!entry.at || entry.request) continue;
			clearTimeout(entry.timer);
			if (this.#again(entry)) entry.timer = setTimeout(() => this.#unknown(mid), entry.at + RESEND - Date.now());
			else this.#unknown(mid);
		}
		this.#later(Number(/retry(?:=| after )(\d{1,7})\D*$/.exec(reason)?.[1] ?? 0));
	}

	#pause() {
		const { min, max } = this.#o.backoff;
		return Math.min(max, min * 2 ** this.#fails);
	}

	#later(least = 0) {
		if (this.#state === "closed") return;
		const pause = Math.max(least, Math.random() * this.#pause());
		this.#fails++;
		this.#after("back", pause, () => this.#open());
		this.#set("waiting");
	}

	/** Something has happened after which the connection may be gone, or come again. */
	#look() {
		if (this.#state === "waiting") this.#open();
		else if (this.#state === "open") this.#check(this.#o.timeout / 4);
	}

	/** Waits for silence. */
	#listen(ms = this.#hb) {
		this.#after("heart", ms, () => {
			const silent = Date.now() - this.#heard;
			if (silent >= 0 && silent < this.#hb - 5) this.#listen(this.#hb - silent);
			else this.#check(silent > 2 * this.#hb ? this.#o.timeout / 4 : Math.min(this.#hb, this.#o.timeout));
		});
	}

	/** @param {number} patience */
	#check(patience) {
		const [frames, at] = [this.#frames, Date.now()];
		this.#ping([]);
		this.#after("heart", patience, () => {
			if (this.#frames !== frames) this.#listen();
			else if (Date.now() - at > 2 * patience) this.#check(patience); // we did not run
			else this.#lost();
		});
	}

	/** @param {HydrantError} why */
	#end(why) {
		this.#set("closed", why);
		this.#over.abort();
		this.#leave();
		Object.keys(this.#timers).forEach((name) => this.#after(name));
		this.#release();
		this.#inbox = [];
		for (const [mid, entry] of this.#entries) {
			if (entry.at) this.#unknown(mid);
			else this.#settle(mid, why);
		}
	}

	/** @param {Message} m */
	#welcome(m) {
		const b = m.bdy;
		if (typeof m.frm !== "string" || !m.frm.includes("@") || typeof b?.id !== "string" || !b.id) {
			this.#bad("a malformed welcome", m);
			return this.#lost();
		}
		this.#frm = m.frm;
		this.#router = m.frm.slice(m.frm.indexOf("@") + 1);
		const resumed = !!(b.resumed ?? (this.#fresh && b.id === this.#id));
		if (this.#id && b.resumed === undefined && !this.#fresh) {
			this.#fresh = m;
			const body = { id: this.#id, token: this.#secret || undefined, attempt: this.#attempt, seq: this.#acks ? this.#done : undefined };
			return this.#write({ to: this.#router, from: `${b.id}@client:/`, mid: this.#mid(), type: "reconnect" }, JSON.stringify(body));
		}
		this.#caps = Array.isArray(b.caps) ? b.caps.map(text) : [];
		if (resumed) {
			// What was not handled comes again, but for what has no sequence, or another session.
			this.#inbox = this.#inbox.filter((item) => !item.seq || item.session !== this.#id);
			this.#last = Number((this.#doing?.session === this.#id && this.#doing.seq) || this.#done);
		} else {
			this.#id = b.id;
			this.#secret = text(b.token ?? this.#fresh?.bdy.token);
			this.#done = "0";
			this.#last = 0;
			// No answer comes to a new session, and from one nothing counts as a repetition.
			for (const [mid, entry] of this.#entries) if (entry.at && !(entry.request && this.#again(entry))) this.#unknown(mid);
			this.#hold();
		}
		this.#hb = number(b.hb) * 1000 || this.#hb;
		this.#user = text(b.user ?? b.authResponse?.identity) || this.#user;
		this.#clock = number(b.now) && b.now - Date.now();
		this.#opened = Date.now();
		this.#save();
		this.#listen();
		this.#expires(b.exp);
		this.#set("open");
		this.#tell("session", { id: b.id, resumed, why: b.why ?? null });
	}

	// A new token before the old one ends.

	/** @param {any} exp */
	#expires(exp) {
		if (number(exp) && typeof this.#o.token === "function" && this.#caps.includes("auth"))
			this.#after("renew", (exp - this.#clock - Date.now()) * 0.8, () => this.#renew());
	}

	async #renew() {
		const ws = this.#ws;
		try {
			this.#token = await this.#ask("expiring");
			if (ws !== this.#ws) return;
			this.#renewal = this.#mid();
			this.#own("auth", { token: this.#token }, this.#renewal);
		} catch (error) {
			this.#tell("error", error);
			if (ws === this.#ws) this.#after("renew", this.#o.backoff.max / 6, () => this.#renew());
		}
	}

	// What arrives.

	/**
	 * @param {string} text
	 * @param {any} [about]
	 */
	#bad(text, about) {
		this.#tell("error", new HydrantError("protocol", `${text}: ${JSON.stringify(about)?.slice(0, 200)}`));
	}

	/** @param {any} data */
	#receive(data) {
		this.#heard = Date.now();
		this.#frames++;
		const m = parse(data);
		if (!m || Array.isArray(m)) return this.#bad("no message", String(data));
		const routers = m.frm === this.#frm;
		const open = this.#state === "open";
		if (!open && (!this.#frm || routers) && m.typ === "connection") return this.#welcome(m);
		if (!this.#frm) {
			this.#bad("no welcome", m);
			return this.#lost();
		}
		if (m.typ === "pong" && m.frm === undefined) return this.#pong(m.rmid);
		if (!["connection", "accepted", "error", "gap"].includes(m.typ) || (m.typ === "error" && !routers)) return this.#take(m);
		if (!routers) return this.#bad("not by a router", m);
		if (m.typ === "connection") return this.#bad("a second welcome", m);
		if (m.typ === "gap") return this.#take(m);
		if (m.typ === "accepted") return m.rmid === this.#renewal ? this.#expires(m.bdy?.exp) : void this.#settle(m.rmid);
		if (typeof m.bdy?.code !== "string") this.#bad("a malformed error", m);
		const error = failure(m);
		// That a repetition is refused says nothing of what was written before.
		if (this.#entries.get(m.rmid)?.before ? this.#unknown(m.rmid) : this.#settle(m.rmid, error)) return;
		this.#tell("error", error);
		if (!open) this.#lost(); // our request for the session
		else if (m.rmid === this.#renewal) this.#after("renew", error.retry ?? this.#o.backoff.max / 6, () => this.#renew());
	}

	/** @param {Message} m */
	#take(m) {
		const seq = (this.#acks && m.hdr?.["x-seq"]) || undefined;
		/** @type {Item} */
		const item = { message: m, seq, session: this.#id, on: this.#ws };
		if (seq && !/^\d+$/.test(text(seq))) return this.#bad("a malformed sequence", m);
		if (seq && m.typ === "gap" && m.bdy?.why === "rollback") this.#last = 0;
		if (seq && Number(seq) <= this.#last) item.message = undefined;
		else if (m.typ === "gap" ? typeof m.bdy?.why !== "string" : typeof m.mid !== "string" || typeof m.frm !== "string" || m.bdy === undefined) {
			this.#bad("a malformed message", m);
			item.message = undefined; // or it would come again and again
		} else if (this.#entries.get(m.rmid ?? "")?.request) {
			this.#settle(m.rmid ?? "", m.typ === "error" ? failure(m) : undefined, m);
			item.message = undefined;
		}
		this.#last = Math.max(this.#last, Number(seq ?? 0));
		this.#inbox.push(item);
		this.#work();
	}

	/**
	 * @param {string} key
	 * @returns {boolean} it is new
	 */
	#remember(key) {
		if (this.#seen.has(key)) return false;
		for (const first of this.#seen) {
			if (this.#seen.size < SEEN) break;
			this.#seen.delete(first);
		}
		this.#seen.add(key);
		return true;
	}

	async #work() {
		if (this.#doing) return;
		while ((this.#doing = this.#inbox.shift())) {
			const { message: m, seq, session, on } = this.#doing;
			try {
				if (m?.typ === "gap") this.#tell("gap", m.bdy);
				else if (m && !this.#seen.has("= " + text(m.rmid)) && this.#remember(`${m.mid} ${m.frm}`)) {
					const handler = this.#handlers.get(m.typ ?? "");
					if (handler) await handler(m);
					else this.#tell("message", m);
				}
			} catch (error) {
				this.#tell("error", error);
			}
			if (!seq || session !== this.#id || this.#state === "closed") continue;
			this.#done = seq;
			if (on !== this.#ws) continue; // it comes once more
			if (++this.#unacked >= ACKS) this.#confirm();
			else if (this.#unacked === 1) this.#after("ack", 50, () => this.#confirm());
		}
	}

	#confirm() {
		this.#after("ack");
		if (!this.#unacked || this.#state !== "open") return;
		this.#unacked = 0;
		this.#own("ack", { seq: this.#done });
		this.#save();
	}

	// What is sent.

	#mid() {
		return `${this.#prefix}-${++this.#mids}`;
	}

	/**
	 * @param {string} to
	 * @param {any} body
	 * @param {any} o
	 * @param {boolean} request
	 * @returns {Promise<any>}
	 */
	#hand(to, body = {}, o, request) {
		return new Promise((resolve, reject) => {
			const mid = o.mid ?? this.#mid();
			const { messages, bytes } = this.#o.queue;
			const text = JSON.stringify(body);
			const head = { to, headers: o.headers, mid, rmid: o.rmid, type: o.type, ttl: o.ttl };
			const size = JSON.stringify(head).length + (text?.length ?? 0);
			const no = (/** @type {string} */ code, /** @type {string} */ why) => reject(new HydrantError(code, why));
			if (this.#state === "closed") return reject(this.#why);
			if (o.signal?.aborted) return reject(o.signal.reason);
			if (!body || !text || !to) return no("invalid", "to and body may not be falsy");
			if (this.#entries.has(mid)) return no("duplicate", "this mid is under way");
			if (this.#entries.size >= messages || this.#bytes + size > bytes) return no("full", "too much has no outcome");
			/** @type {Entry} */
			const entry = { head, body: text, size, request, repeat: o.repeat, at: 0, on: 0, resolve, reject };
			if (o.queue) [head.to, entry.forward] = ["", to];
			const abort = () => this.#settle(mid, o.signal?.reason);
			if (request) entry.timer = setTimeout(() => this.#settle(mid, new HydrantError("timeout", "no answer")), o.timeout ?? this.#o.timeout);
			o.signal?.addEventListener("abort", abort);
			entry.off = () => o.signal?.removeEventListener("abort", abort);
			this.#entries.set(mid, entry);
			this.#bytes += size;
			if (this.#state === "open") this.#put(mid, entry);
		});
	}

	/**
	 * Whether it may be written once more: the node knows a repetition by its mid, where
	 * it stores, but refuses one that is signed.
	 * @param {Entry} entry
	 */
	#again({ head, request, repeat, forward }) {
		if (this.#o.sign) return false;
		if (request) return repeat !== false;
		return this.#caps.length > 0 && (forward || head.to.endsWith("@client:/") || head.to.endsWith("@" + this.#router));
	}

	#flush() {
		for (const [mid, entry] of this.#entries) {
			if (this.#state !== "open") return;
			if (entry.on === this.#ws) continue;
			if (!entry.at || (this.#again(entry) && (entry.request || Date.now() - entry.at < RESEND))) this.#put(mid, entry);
			else if (!entry.request) this.#unknown(mid);
		}
	}

	/**
	 * @param {string} mid
	 * @param {Entry} entry
	 */
	#put(mid, entry) {
		if (!entry.request) {
			clearTimeout(entry.timer);
			entry.before = entry.at;
		}
		entry.at ||= Date.now();
		entry.on = this.#ws;
		const { to, headers, ...rest } = entry.head;
		const told = !entry.request && this.#caps.includes("accepted");
		const head = { to: to || this.#router + "queue", from: `${this.#id}@client:/`, headers: told ? { ...headers, "x-ack": true } : headers, ...rest };
		this.#write(head, entry.body, entry.forward);
		if (told || entry.request) return;
		// An older node takes what lies before a ping that it answers.
		if (!this.#owed) queueMicrotask(() => this.#owed && this.#ping(this.#owed));
		(this.#owed ??= []).push(mid);
	}

	/** @param {string[]} mids */
	#ping(mids) {
		const mid = this.#mid();
		if (this.#owed === mids) this.#owed = undefined;
		this.#pings.set(mid, mids);
		this.#own("ping", {}, mid);
	}

	/** @param {any} rmid */
	#pong(rmid) {
		this.#pings.get(rmid)?.forEach((mid) => this.#settle(mid));
		this.#pings.delete(rmid);
	}

	/**
	 * Says something to the router.
	 * @param {string} type
	 * @param {any} body
	 */
	#own(type, body, mid = this.#mid()) {
		this.#write({ to: this.#router, from: `${this.#id}@client:/`, mid, type }, JSON.stringify(body));
	}

	/**
	 * @param {Record<string, any>} head with its keys in the order of the canonical text
	 * @param {string} body
	 * @param {string} [forward]
	 */
	#write(head, body, forward) {
		const { sign } = this.#o;
		const ws = this.#ws;
		const send = (/** @type {string} */ text) => ws === this.#ws && ws?.readyState === 1 && ws.send(text);
		const { to, from, headers, mid, rmid, type, ttl } = head;
		const timestamp = sign ? new Date().toISOString() : undefined;
		const text = JSON.stringify({ to, from, headers, mid, rmid, timestamp, type, version: sign && "UMF/1.4.6", forward }).slice(0, -1) + `,"body":${body}`;
		if (!sign) return void send(text + (ttl ? `,"ttl":${ttl}}` : "}"));
		this.#chain = this.#chain
			.then(() => sign(text + "}"))
			.then((signature) => send(`${text},"signature":"${signature}"}`))
			.catch((error) => this.#settle(mid, error) || this.#tell("error", error));
	}

	/** @param {string} mid */
	#unknown(mid) {
		return this.#settle(mid, new HydrantError("unknown", "lost before it was accepted"));
	}

	/**
	 * @param {string} mid
	 * @param {any} [error]
	 * @param {any} [value]
	 * @returns {boolean} it had no outcome yet
	 */
	#settle(mid, error, value) {
		const entry = this.#entries.get(mid);
		if (!entry) return false;
		this.#entries.delete(mid);
		this.#bytes -= entry.size;
		clearTimeout(entry.timer);
		entry.off?.();
		if (entry.request) this.#remember("= " + mid); // an answer may come twice
		if (error !== undefined) entry.reject(error);
		else entry.resolve(value);
		return true;
	}
}

/** @param {any} text */
const parse = (text) => {
	try {
		const value = JSON.parse(text);
		return typeof value === "object" ? value : null;
	} catch {
		return null;
	}
};

/** What JSON has in the place of a text may be an object that String() throws at.
 * @param {any} value */
const text = (value) => (typeof value === "object" ? "" : String(value ?? ""));

/** @param {any} value */
const number = (value) => (typeof value === "number" && value > 0 ? value : 0);

/** @param {any} m */
const failure = ({ bdy }) => new HydrantError(text(bdy?.code) || "error", text(bdy?.error ?? bdy?.code), number(bdy?.retry) || undefined);

// crypto.randomUUID is for secure contexts only.
const random = () =>
	Array.from(globalThis.crypto?.getRandomValues(new Uint32Array(4)) ?? [0, 0, 0, 0], (n) => (n || Math.random() * 2 ** 32 || 1).toString(36).replace(".", "")).join("");
