// Services behind Hydrant, in Node: they answer the messages of clients, push to their
// sessions, take work from a queue, and call each other. What stands on NATS is described
// in bus/scheme, and package bus does the same for services in Go.

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { accessSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, errors, headers as newHeaders, usernamePasswordAuthenticator } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

/**
 * @typedef {import("@nats-io/transport-node").NatsConnection} NatsConnection
 * @typedef {import("@nats-io/transport-node").NodeConnectionOptions} NodeConnectionOptions
 * @typedef {import("@nats-io/transport-node").Msg} Msg
 * @typedef {import("@nats-io/transport-node").MsgHdrs} MsgHdrs
 * @typedef {import("@nats-io/transport-node").Subscription} Subscription
 * @typedef {import("@nats-io/jetstream").JsMsg} JsMsg
 */

/**
 * A UMF message. What arrives has at least to, from and body.
 * @typedef {object} Message
 * @property {string} to
 * @property {string} from
 * @property {any} body any JSON value
 * @property {string} [mid]
 * @property {string} [rmid] mid of the message that this one answers
 * @property {string} [type]
 * @property {Record<string, any>} [headers]
 * @property {string} [via]
 * @property {string} [forward]
 * @property {string} [timestamp]
 * @property {string} [version]
 * @property {number|string} [timeout] seconds that the sender waits
 * @property {number|string} [ttl] seconds for which the message is worth delivering
 * @property {number|string} [priority]
 * @property {string} [authorization]
 * @property {string} [signature]
 * @property {string} [for]
 */

/**
 * @typedef {object} Logger
 * @property {(text: string, facts: object) => void} [debug]
 * @property {(text: string, facts: object) => void} [info]
 * @property {(text: string, facts: object) => void} [warn]
 */

/**
 * What a service is called, and how it reaches NATS; all other options are those of
 * connect in @nats-io/transport-node. servers, user, pass, inboxPrefix and tls are, where
 * they are missing, what NATS_URL, NATS_USER, NATS_PASSWORD or NATS_PASSWORD_FILE,
 * NATS_INBOX_PREFIX, NATS_CA, NATS_CERT and NATS_KEY say. NATS inside a node on this machine
 * is found, with its password, in the data directory, EDGE_DATA_DIR.
 * @typedef {object} ServiceOptions
 * @property {string} name that clients send to: letters, digits, "_" and "-"
 * @property {string} [version] as semantic versioning has it; 0.0.0
 * @property {string} [description]
 * @property {string} [instance] distinguishes this process; random
 * @property {Record<string, string>} [metadata] shown by discovery
 * @property {number} [concurrency] handlers that run at a time; 64
 * @property {number} [queue] messages that wait for one; 32,768
 * @property {number} [handlerTimeout] ms after which a handler has failed; 30,000
 * @property {number} [replyTimeout] ms for a reply or a push, with its repetitions; 10,000
 * @property {number} [drainTimeout] ms for what has begun when the service is closed; 30,000
 * @property {Logger} [logger] the console, without debug
 */

/**
 * @typedef {object} WorkOptions
 * @property {number} [concurrency] messages in work in this process; 16
 * @property {number} [maxDeliver] attempts at one message; 10
 * @property {number} [backoff] ms before the second attempt, doubled with each, up to a minute; 1,000
 */

/**
 * @typedef {object} ReplyOptions
 * @property {string} [type] of the message; that of the question
 * @property {number} [status] makes the answer to a [METHOD] request one of HTTP: the body
 *   goes as it is, a string or bytes as they are, else as JSON
 * @property {Record<string, any>} [headers] of the message; of HTTP where there is a status
 */

/**
 * @typedef {object} Push
 * @property {any} [body] any JSON value; {}
 * @property {string} [type]
 * @property {Record<string, any>} [headers]
 * @property {number} [ttl] seconds for which it is worth delivering
 * @property {string} [mid] random. Under one mid the same push is stored once within a minute
 */

/** @typedef {(request: ServiceRequest) => any} Handler may be async */

/**
 * Thrown by a handler, it becomes the error that the sender gets: its body is
 * {"error": text, "code": code}. Over HTTP the status follows the code: 400 for bad_request,
 * 401 for unauthorized, 403 for forbidden, 404 for not_found and unsupported, 409 for
 * conflict, 503 for overload and unavailable, the number for one that is a status, else 500.
 */
export class Failure extends Error {
	/** @param {string} code @param {string} text one sentence */
	constructor(code, text) {
		super(text);
		this.name = "Failure";
		this.code = code;
	}
}

/**
 * Why something was not done. code says what may be concluded:
 *   unconfirmed   no answer came: it may have happened, and may be repeated with the same mid
 *   refused       the store said no
 *   unavailable   nothing could be asked; nothing was stored
 *   too_large     over what NATS takes; nothing was sent
 *   no_session    there is no such session, as a node says
 *   no_reply      the sender gave no way to answer
 *   no_queue      no work queue is registered for the service
 *   invalid       a name, an address or a message is none
 *   closed        the service is closed
 */
export class BusError extends Error {
	/** @param {string} code @param {string} text @param {unknown} [cause] */
	constructor(code, text, cause) {
		super(text, cause === undefined ? undefined : { cause });
		this.name = "BusError";
		this.code = code;
	}
}

const root = "umf.v1.";
const workStream = "UMF_WORK";
const nameForm = /^[A-Za-z0-9_-]{1,64}$/;
const sidForm = /^[a-z2-7]{26}$/;
const attemptTimeout = 3000;
const nodeQuestion = 2000;
const sessionsKnown = 30_000;
const maxSessions = 1 << 15;

const failures = {
	overload: new Failure("overload", "The service has too much to do"),
	unsupported: new Failure("unsupported", "The service does not handle such messages"),
	internal: new Failure("service_error", "The service could not handle the message"),
	tooLarge: new Failure("too_large", "The answer of the service is too large"),
};

// The fields of a message, in the order in which they are written: long key, short key.
/** @type {ReadonlyArray<readonly [string, string]>} */
const fields = [
	["to", "to"], ["from", "frm"], ["headers", "hdr"], ["mid", "mid"], ["rmid", "rmid"], ["signature", "sig"], ["timeout", "tmo"],
	["timestamp", "ts"], ["type", "typ"], ["version", "ver"], ["via", "via"], ["forward", "fwd"], ["body", "bdy"],
	["authorization", "aut"], ["priority", "pri"], ["ttl", "ttl"], ["for", "for"],
];

/**
 * Reads a message in short or long form. Of a long and a short key the long one counts,
 * unless its value is falsy and the short one's is not.
 * @param {string} text
 * @returns {Message}
 */
function readMessage(text) {
	/** @type {unknown} */
	let raw;
	try {
		raw = JSON.parse(text);
	} catch (err) {
		throw new BusError("invalid", "not a UMF message: no JSON", err);
	}
	if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
		throw new BusError("invalid", "not a UMF message: no object");
	}
	const from = /** @type {Record<string, unknown>} */ (raw);
	/** @type {Record<string, unknown>} */
	const m = {};
	for (const [long, short] of fields) {
		const hasLong = Object.hasOwn(from, long);
		const hasShort = Object.hasOwn(from, short);
		if (hasLong || hasShort) {
			m[long] = hasLong && (from[long] || !(hasShort && from[short])) ? from[long] : from[short];
		}
	}
	if (typeof m.to !== "string" || m.to === "" || typeof m.from !== "string" || m.from === "" || !("body" in m)) {
		throw new BusError("invalid", "not a UMF message: to, from or body is missing");
	}
	return /** @type {Message} */ (/** @type {unknown} */ (m));
}

/**
 * Writes a message in short form.
 * @param {Message} m
 * @returns {string}
 */
function writeMessage(m) {
	const from = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (m));
	/** @type {Record<string, unknown>} */
	const short = {};
	for (const [long, key] of fields) {
		if (from[long] !== undefined && (from[long] !== "" || long === "body")) {
			short[key] = from[long];
		}
	}
	return JSON.stringify(short);
}

/**
 * Names what a message says: messages of one sender to one receiver with the same mid and
 * content are one. It is a part of Nats-Msg-Id.
 * @param {Message} m
 * @returns {string}
 */
function contentID(m) {
	/** @type {Record<string, unknown>} */
	const content = {};
	for (const key of /** @type {const} */ (["to", "type", "forward", "body"])) {
		if (m[key]) {
			content[key] = m[key];
		}
	}
	return createHash("sha256").update(JSON.stringify(content)).digest().subarray(0, 16).toString("base64url");
}

/**
 * @typedef {object} Address
 * @property {string} instance "" for any
 * @property {string} service
 * @property {string} method of HTTP, in upper case; "" for a message that is no request
 * @property {string} path
 */

/**
 * Reads instance@service:[METHOD]path.
 * @param {string} text
 * @returns {Address|null}
 */
function parseAddress(text) {
	const m = /^(?:([A-Za-z0-9_-]{1,129})@)?([A-Za-z0-9_-]{1,64}):(?:\[([A-Za-z0-9_-]{1,32})\])?([^\0-\x1f\x7f]*)$/.exec(text);
	if (!m || text.length > 1024) {
		return null;
	}
	return { instance: m[1] ?? "", service: m[2] ?? "", method: (m[3] ?? "").toUpperCase(), path: m[4] ?? "" };
}

/**
 * The session that an id or an address means: sid, sid@client:/, or node-sid@router:/.
 * @param {unknown} text
 * @returns {string} "": none
 */
function sessionOf(text) {
	if (typeof text !== "string") {
		return "";
	}
	if (sidForm.test(text)) {
		return text;
	}
	const a = parseAddress(text);
	if (!a) {
		return "";
	}
	const sid = a.service === "client" ? a.instance : a.instance.slice(a.instance.indexOf("-") + 1);
	return sidForm.test(sid) && (a.service === "client" || a.instance.includes("-")) ? sid : "";
}

/**
 * The service that a call or work is for, and its address.
 * @param {string} to a name, or an address
 */
function addressOf(to) {
	const address = nameForm.test(to) ? to + ":/" : to;
	const a = parseAddress(address);
	if (!a) {
		throw new BusError("invalid", `not the address of a service: ${JSON.stringify(String(to).slice(0, 80))}`);
	}
	return { address, service: a.service };
}

/**
 * Reads a route, [METHOD]/v1/users/{id}. A segment {name} or :name stands for any one that
 * is not empty.
 * @param {string} text
 */
function parseRoute(text) {
	const m = /^\[([A-Za-z0-9_-]{1,32})\](\/[^\s?#,\0-\x1f\x7f]*)$/.exec(text);
	const segments = (m?.[2] ?? "").slice(1).split("/").map((s) => {
		const wild = /^:([^]+)$|^\{([^{}.]+)\}$/.exec(s);
		return wild ? { name: wild[1] ?? wild[2] ?? "", text: "" } : { name: "", text: s };
	});
	if (!m || text.length > 1024 || segments.some((s) => s.name === "" && (/[{}]/.test(s.text) || s.text === ":"))) {
		throw new BusError("invalid", `not a route: ${JSON.stringify(String(text).slice(0, 80))}; one looks like [GET]/v1/users/{id}`);
	}
	const method = (m[1] ?? "").toUpperCase();
	return { method, segments, text: `[${method}]${m[2]}`, form: segments.map((s) => (s.name ? "{}" : s.text)).join("/") };
}

/** @typedef {{method: string, segments: Array<{name: string, text: string}>, text: string, form: string, fn: Handler}} Route */

/**
 * @param {Route} route
 * @param {string} path
 * @returns {Record<string, string>|null} what the wildcards stand for
 */
function match(route, path) {
	const segments = path.startsWith("/") ? path.slice(1).split("/") : [];
	if (segments.length !== route.segments.length) {
		return null;
	}
	/** @type {Record<string, string>} */
	const values = Object.create(null);
	for (const [i, want] of route.segments.entries()) {
		const got = segments[i] ?? "";
		if (want.name ? got === "" : got !== want.text) {
			return null;
		}
		if (want.name) {
			values[want.name] = got;
		}
	}
	return values;
}

/** @param {string} reply */
const isRequestReply = (reply) => /^umf\.v1\.req\.[0-9a-f]{32}\.[A-Za-z0-9_-]{1,64}$/.test(reply);

/** @param {string} reply */
const isInbox = (reply) => reply.startsWith("_R_.") || /^_INBOX(_[^.]*)?\../.test(reply);

// An answer goes out with this service's rights, wherever a question wants it.
/** @param {string} reply */
const answerable = (reply) => isRequestReply(reply) || reply.startsWith(root + "reply.") || isInbox(reply);

/** @param {string} sid */
const mailboxOf = (sid) => `${root}out.${sid[0]}.${sid}`;

/** @param {unknown} e */
const nobodyListens = (e) => e instanceof errors.NoRespondersError || (e instanceof errors.RequestError && e.isNoResponders());

/** @param {string} name of the service */
const noQueue = (name) => new BusError("no_queue",
	`no work queue is registered for the service ${name}: run \`hydrant setup -queues ${name}\`, or start a node with ${name} in EDGE_QUEUE_SERVICES`);

/**
 * What NATS reported, in the words of BusError.
 * @param {unknown} err
 * @returns {BusError}
 */
function busError(err) {
	if (err instanceof BusError) {
		return err;
	}
	const e = /** @type {Error} */ (err);
	if (nobodyListens(e)) {
		return new BusError("unavailable", "nobody listens there", e);
	}
	if (e instanceof errors.ClosedConnectionError || e instanceof errors.DrainingConnectionError) {
		return new BusError("unavailable", "no connection to NATS", e);
	}
	if (e instanceof errors.InvalidArgumentError && e.message.includes("payload")) {
		return new BusError("too_large", "over what NATS takes", e);
	}
	if (e instanceof errors.PermissionViolationError || e?.cause instanceof errors.PermissionViolationError) {
		return new BusError("refused", "NATS does not permit it", e);
	}
	return new BusError("unconfirmed", "no answer came", e);
}

/** @param {BusError} err */
const temporary = (err) => err.code === "unconfirmed" || err.code === "unavailable";

/**
 * Repeats until it goes well, fails for good, or the time is over. Once an attempt may have
 * done it, a later one that did not makes nothing sure.
 * @template T
 * @param {number} timeout ms
 * @param {(timeout: number) => Promise<T>} attempt
 * @returns {Promise<T>}
 */
async function retry(timeout, attempt) {
	const end = Date.now() + timeout;
	/** @type {BusError|undefined} */
	let doubt;
	for (let wait = 10; ; wait = Math.min(2 * wait, 500)) {
		try {
			return await attempt(Math.max(1, Math.min(attemptTimeout, end - Date.now())));
		} catch (err) {
			const e = busError(err);
			if (e.code === "unconfirmed") {
				doubt = e;
			}
			if (!temporary(e)) {
				throw e;
			}
			if (Date.now() + wait >= end) {
				throw doubt ?? e;
			}
			await sleep(wait);
		}
	}
}

// Jobs run a few at a time, with a bounded queue before them: those of one key one after
// the other, in order.
class Lanes {
	/** @param {number} concurrency @param {number} limit */
	constructor(concurrency, limit) {
		this.concurrency = concurrency;
		this.limit = limit;
		this.waiting = 0;
		this.running = 0;
		/** @type {Array<{key: string, job: () => Promise<void>}>} */
		this.ready = [];
		/** @type {Map<string, Array<() => Promise<void>>>} */
		this.behind = new Map();
		/** @type {Array<() => void>} */
		this.idlers = [];
	}

	/** @param {string} key @param {() => Promise<void>} job @returns {boolean} false: the queue is full */
	offer(key, job) {
		if (this.waiting >= this.limit) {
			return false;
		}
		this.waiting++;
		const behind = key === "" ? undefined : this.behind.get(key);
		if (behind) {
			behind.push(job);
			return true;
		}
		if (key !== "") {
			this.behind.set(key, []);
		}
		this.ready.push({ key, job });
		this.next();
		return true;
	}

	next() {
		while (this.running < this.concurrency) {
			const j = this.ready.shift();
			if (!j) {
				break;
			}
			this.waiting--;
			this.running++;
			void j.job().finally(() => this.done(j.key));
		}
		if (this.running === 0 && this.waiting === 0) {
			this.idlers.splice(0).forEach((f) => f());
		}
	}

	/** @param {string} key */
	done(key) {
		this.running--;
		const behind = this.behind.get(key);
		const job = behind?.shift();
		if (job) {
			this.ready.push({ key, job });
		} else {
			this.behind.delete(key);
		}
		this.next();
	}

	/** @returns {Promise<void>} */
	idle() {
		return new Promise((resolve) => {
			this.idlers.push(resolve);
			this.next();
		});
	}
}

/**
 * What a request needs of its service.
 * @typedef {object} Host
 * @property {string} name
 * @property {string} instance
 * @property {string} address
 * @property {(to: string, body: any) => Message} message
 * @property {(subject: string, data: string|Uint8Array, fields: Record<string, string>) => void} send
 * @property {(sid: string, m: Message, fields: Record<string, string>) => Promise<void>} store
 */

/** @typedef {{data: string, headers: MsgHdrs|undefined, reply: string, call: boolean}} Incoming */

// What the service does with a request, and no handler: filled by the class itself.
const inside = {
	/** @type {(host: Host, incoming: Incoming) => ServiceRequest} */
	make: () => {
		throw new Error("not there yet");
	},
	/** @type {(r: ServiceRequest) => Record<string, string>} */
	trace: () => ({}),
	/** @type {(r: ServiceRequest) => boolean} */
	answered: () => false,
	/** @type {(r: ServiceRequest, failure: Failure) => void} */
	refuse: () => {},
	/** @type {(r: ServiceRequest, why: Error) => void} */
	end: () => {},
};

/** A message that a handler is to handle. It may be answered later, and more than once. */
export class ServiceRequest {
	static {
		inside.make = (host, incoming) => new ServiceRequest(host, incoming);
		inside.trace = (r) => r.#trace();
		inside.answered = (r) => r.#answered;
		inside.refuse = (r, failure) => r.#refuse(failure);
		inside.end = (r, why) => r.#controller.abort(why);
	}

	/** @type {Host} */ #service;
	/** @type {string} */ #reply;
	/** @type {boolean} */ #call;
	/** @type {string} */ #answerTo; // the session whose mailbox the answer goes to
	/** @type {string} */ #traceparent;
	#answered = false;
	#controller = new AbortController();

	/** @private @param {Host} service @param {Incoming} incoming */
	constructor(service, incoming) {
		this.#service = service;
		this.#reply = incoming.reply;
		this.#call = incoming.call;
		/** As the client sent it, with the node's via. @readonly */
		this.message = readMessage(incoming.data);
		// Of a call only the one who calls says who a client is, and no node has seen that.
		const from = (/** @type {string} */ key) => (incoming.call ? "" : (incoming.headers?.get(key) ?? ""));
		/** Id of the sender's session; "" if the message did not come through a node. @readonly */
		this.session = from("Umf-Session");
		/** Who the sender proved to be; "": nobody. @readonly */
		this.user = from("Umf-Identity");
		const mailbox = /^umf\.v1\.out\.(.)\.(.*)$/.exec(from("Umf-Mailbox"));
		this.#answerTo = mailbox?.[2] && sidForm.test(mailbox[2]) && mailbox[1] === mailbox[2][0] ? mailbox[2] : sessionOf(this.message.via);
		const address = parseAddress(this.message.to);
		/** Of a message to service:[METHOD]path; "". @readonly */
		this.method = address?.method ?? "";
		/** @readonly */
		this.path = address?.path ?? "";
		/** What the wildcards of the route stand for. @type {Record<string, string>} */
		this.params = {};
		this.#traceparent = incoming.headers?.get("traceparent") ?? "";
	}

	/** Ends when the handler's time is over. @returns {AbortSignal} */
	get signal() {
		return this.#controller.signal;
	}

	/** @returns {any} */
	get body() {
		return this.message.body;
	}

	/** What stands after the path of a [METHOD] request. @returns {URLSearchParams} */
	get query() {
		const at = this.path.indexOf("?");
		return new URLSearchParams(at < 0 ? "" : this.path.slice(at + 1));
	}

	/**
	 * One of the headers that the sender wrote, by its name in lower case: over HTTP those of
	 * the request.
	 * @param {string} name
	 * @returns {string}
	 */
	header(name) {
		const h = this.message.headers;
		const value = h && Object.hasOwn(h, name) ? h[name] : "";
		return typeof value === "string" ? value : "";
	}

	/**
	 * The body of a [METHOD] request as it came over HTTP, and its content type.
	 * @returns {{type: string, bytes: Uint8Array}}
	 */
	content() {
		const type = this.header("content-type") || "application/json";
		if (this.header("x-encoding") !== "base64") {
			return { type, bytes: Buffer.from(JSON.stringify(this.body)) };
		}
		if (typeof this.body !== "string" || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(this.body)) {
			throw new Failure("bad_request", "The body is not base64");
		}
		return { type, bytes: Buffer.from(this.body, "base64") };
	}

	// Whether the answer goes to a sender that waits on NATS, and not to a mailbox.
	#direct() {
		return isRequestReply(this.#reply) || ((this.#call || this.#answerTo === "") && answerable(this.#reply));
	}

	/**
	 * Answers. To a session it goes through the mailbox, and resolves when that has stored it;
	 * to a [METHOD] request, or to who waits on NATS, it is sent at most once.
	 * @param {any} [body] any JSON value; {}
	 * @param {ReplyOptions} [options]
	 * @returns {Promise<void>}
	 */
	async reply(body, options = {}) {
		if (options.status !== undefined) {
			this.#respond(body, options.status, options.headers ?? {});
			this.#answered = true;
			return;
		}
		const m = this.#answer(body, options);
		if (this.#direct()) {
			this.#service.send(this.#reply, writeMessage(m), this.#trace());
		} else if (this.#answerTo !== "") {
			await this.#service.store(this.#answerTo, m, this.#trace());
		} else {
			throw new BusError("no_reply", "the sender gave no way to answer");
		}
		this.#answered = true;
	}

	/** @returns {Record<string, string>} */
	#trace() {
		return this.#traceparent === "" ? {} : { traceparent: this.#traceparent };
	}

	/** @param {any} body @param {ReplyOptions} options @returns {Message} */
	#answer(body, options) {
		const q = this.message;
		/** @type {Message} */
		const m = { ...this.#service.message(q.via || q.from, body), from: q.to };
		if (this.method === "") { // with the instance, so that the client can go on talking to this one
			const a = parseAddress(q.to);
			m.from = a?.service === this.#service.name ? `${this.#service.instance}@${a.service}:${a.path}` : this.#service.address;
		}
		for (const key of /** @type {const} */ (["timeout", "authorization", "type", "headers"])) {
			if (q[key] !== undefined) {
				Object.assign(m, { [key]: q[key] });
			}
		}
		if (q.mid) {
			m.rmid = q.mid;
		}
		if (options.type !== undefined) {
			m.type = options.type;
		}
		if (options.headers) {
			m.headers = { ...m.headers, ...options.headers };
		}
		return m;
	}

	/** @param {any} body @param {number} status @param {Record<string, any>} fields */
	#respond(body, status, fields) {
		if (!Number.isInteger(status) || status < 200 || status > 599) {
			throw new BusError("invalid", `not a status of HTTP: ${status}`);
		}
		if (this.method === "" || !this.#direct()) {
			throw new BusError("no_reply", "its sender waits for no answer of HTTP");
		}
		const raw = body === undefined ? "" : typeof body === "string" || body instanceof Uint8Array ? body : undefined;
		/** @type {Record<string, string>} */
		const h = { ...this.#trace(), "Umf-Status": String(status) };
		for (const [key, value] of Object.entries(fields)) {
			h[key] = String(value);
		}
		if (raw === undefined && !Object.keys(fields).some((key) => key.toLowerCase() === "content-type")) {
			h["Content-Type"] = "application/json";
		}
		this.#service.send(this.#reply, raw ?? JSON.stringify(body), h);
	}

	// Answers at once, without waiting and without repetition.
	/** @param {Failure} failure */
	#refuse(failure) {
		const text = writeMessage(this.#answer({ error: failure.message, code: failure.code }, {}));
		if (this.#direct()) {
			this.#service.send(this.#reply, text, this.#trace());
		} else if (this.#answerTo !== "") {
			this.#service.send(mailboxOf(this.#answerTo), text, this.#trace());
		}
	}
}

// The request whose handler runs: what it sends is a part of the same trace.
/** @type {AsyncLocalStorage<ServiceRequest>} */
const handling = new AsyncLocalStorage();

function traceNow() {
	const request = handling.getStore();
	return request ? inside.trace(request) : {};
}

// Which sessions there are, as far as a node has just said so. Others are asked for beside
// storing, which delays nothing.
class Sessions {
	/** @type {Map<string, number>} */ known = new Map();
	/** @type {Map<string, Promise<boolean>>} */ asking = new Map();

	/** @param {string} sid */
	saw(sid) {
		this.known.delete(sid);
		this.known.set(sid, Date.now() + sessionsKnown);
		if (this.known.size > maxSessions) {
			this.known.delete(/** @type {string} */ (this.known.keys().next().value)); // the oldest
		}
	}

	/**
	 * @param {string} sid
	 * @param {() => Promise<Msg>} ask
	 * @returns {Promise<boolean>} a node says that there is no such session
	 */
	gone(sid, ask) {
		if ((this.known.get(sid) ?? 0) > Date.now()) {
			return Promise.resolve(false);
		}
		let question = this.asking.get(sid);
		if (!question) {
			question = ask().then((m) => m.string(), () => "").then((said) => {
				this.asking.delete(sid);
				if (said === "yes") {
					this.saw(sid);
				}
				return said === "no";
			});
			this.asking.set(sid, question);
		}
		return question;
	}
}

/** @type {(options: ServiceOptions & NodeConnectionOptions) => Promise<Service>} */
let openService;

/** One instance of a service. Made by connectService. */
export class Service {
	/** @type {Required<Omit<ServiceOptions, "metadata" | "description">> & ServiceOptions} */ #o;
	/** @type {NodeConnectionOptions} */ #nats;
	/** @type {NatsConnection|undefined} */ #nc;
	/** @type {Handler|undefined} */ #handler;
	/** @type {Route[]} */ #routes = [];
	/** @type {{fn: Handler, o: Required<WorkOptions>}|undefined} */ #work;
	/** @type {Promise<void>|undefined} */ #working;
	/** @type {{stop: () => void}|undefined} */ #taking;
	/** @type {Set<Promise<void>>} */ #inWork = new Set();
	/** @type {Subscription[]} */ #subs = [];
	/** @type {Lanes} */ #lanes;
	/** @type {Host} */ #host;
	/** @type {Promise<void>|undefined} */ #closing;
	/** @type {AbortController} */ #ended = new AbortController();
	#sessions = new Sessions();
	#started = false;
	#made = new Date();
	#stats = { handled: 0, refused: 0, failed: 0, rejected: 0, invalid: 0, retried: 0, time: 0, lastError: "" };

	static {
		openService = async (options) => {
			const service = new Service(options);
			await service.#connect();
			return service;
		};
	}

	/** @private @param {ServiceOptions & NodeConnectionOptions} options */
	constructor(options) {
		const { name, version, description, instance, metadata, concurrency, queue, handlerTimeout, replyTimeout, drainTimeout, logger, ...nats } = options;
		const given = { name, version, description, instance, metadata, concurrency, queue, handlerTimeout, replyTimeout, drainTimeout, logger };
		const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
		this.#o = {
			version: "0.0.0", instance: randomBytes(16).toString("hex"), concurrency: 64, queue: 32_768, handlerTimeout: 30_000, replyTimeout: 10_000,
			drainTimeout: 30_000, logger: { info: (text, facts) => console.info(text, facts), warn: (text, facts) => console.warn(text, facts) },
			name, ...set,
		};
		if (!nameForm.test(String(name)) || name === "client" || name === "hydra-router") {
			throw new BusError("invalid", `not the name of a service: ${JSON.stringify(name)}`);
		}
		if (!nameForm.test(this.#o.instance)) {
			throw new BusError("invalid", `not the id of an instance: ${JSON.stringify(this.#o.instance)}`);
		}
		if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/.test(this.#o.version)) {
			throw new BusError("invalid", `not a version: ${JSON.stringify(this.#o.version)}`);
		}
		this.#lanes = new Lanes(this.#o.concurrency, this.#o.queue);
		this.#host = {
			name: this.name, instance: this.instance, address: this.address,
			message: (to, body) => this.#message(to, body),
			send: (subject, data, fields) => this.#send(subject, data, fields),
			store: (sid, m, fields) => this.#store(sid, m, fields),
		};
		this.#nats = natsOptions(nats, name);
	}

	get name() {
		return this.#o.name;
	}

	get instance() {
		return this.#o.instance;
	}

	/** The UMF address of this instance. */
	get address() {
		return `${this.#o.instance}@${this.#o.name}:/`;
	}

	async #connect() {
		let said = "";
		for (let wait = 100; !this.#ended.signal.aborted; wait = Math.min(2 * wait, 2000)) {
			try {
				const nc = await connect(this.#nats);
				this.#nc = nc;
				void this.#watch(nc);
				return;
			} catch (err) {
				const e = /** @type {Error} */ (err);
				if (e instanceof errors.InvalidArgumentError || e instanceof TypeError || /** @type {any} */ (e).code === "ENOENT") {
					throw e; // what no server can change
				}
				if (e.message !== said) {
					said = e.message;
					this.#say("warn", "waiting for NATS", { error: said });
				}
			}
			await sleep(wait, undefined, { signal: this.#ended.signal }).catch(() => {});
		}
	}

	// Makes another connection when this one is given up. It reconnects by itself before.
	/** @param {NatsConnection} nc */
	async #watch(nc) {
		const why = await nc.closed();
		if (this.#closing || this.#nc !== nc) {
			return;
		}
		this.#say("warn", "the connection to NATS was given up, and another is made", { error: String(why ?? "") });
		await this.#connect();
		if (this.#started && !this.#closing) {
			this.#subscribe();
		}
	}

	/** @param {"debug"|"info"|"warn"} level @param {string} text @param {object} facts */
	#say(level, text, facts) {
		this.#o.logger[level]?.(text, { service: this.#o.name, ...facts });
	}

	#connection() {
		if (!this.#nc) {
			throw new BusError("closed", "the service is closed");
		}
		return this.#nc;
	}

	/**
	 * Handles every message that no route takes.
	 * @param {Handler} fn
	 * @returns {this}
	 */
	handle(fn) {
		this.#registering(fn, this.#handler);
		this.#handler = fn;
		return this;
	}

	/**
	 * Handles requests of clients to service:[METHOD]path, and the same over HTTP.
	 * @param {string} pattern [GET]/v1/users/{id}; of several that match the first counts
	 * @param {Handler} fn
	 * @returns {this}
	 */
	route(pattern, fn) {
		const route = { ...parseRoute(pattern), fn };
		this.#registering(fn, this.#routes.find((r) => r.method === route.method && r.form === route.form));
		this.#routes.push(route);
		return this;
	}

	/**
	 * Takes from the service's work queue, which all instances share. A message is done when
	 * the handler's promise has resolved, and given up after a Failure, which goes to the
	 * sender; after any other error it is tried again, by any instance. What is given up is
	 * published to umf.v1.dead.<service> as it was, with Umf-Reason and Umf-Attempts.
	 * @param {Handler} fn
	 * @param {WorkOptions} [options]
	 * @returns {this}
	 */
	work(fn, options = {}) {
		this.#registering(fn, this.#work);
		this.#work = { fn, o: { concurrency: 16, maxDeliver: 10, backoff: 1000, ...options } };
		return this;
	}

	/** @param {unknown} fn @param {unknown} before */
	#registering(fn, before) {
		if (typeof fn !== "function") {
			throw new BusError("invalid", "no handler");
		}
		if (before) {
			throw new BusError("invalid", "there is a handler already");
		}
		this.#connection();
		if (this.#closing) {
			throw new BusError("closed", "the service is closed");
		}
		if (!this.#started) { // when all that is registered at once is there
			this.#started = true;
			queueMicrotask(() => this.#closing || this.#subscribe());
		}
		queueMicrotask(() => {
			if (this.#work && !this.#working && !this.#closing) {
				this.#working = this.#takeWork(this.#work);
			}
		});
	}

	#subscribe() {
		const nc = this.#connection();
		const { name, instance } = this.#o;
		const take = (/** @type {boolean} */ call) => (/** @type {Error|null} */ err, /** @type {Msg} */ m) => {
			if (err) {
				this.#say("warn", "a subscription ended", { error: String(err) });
				return;
			}
			this.#take({ data: m.string(), headers: m.headers, reply: m.reply ?? "", call });
		};
		this.#subs = [
			nc.subscribe(`${root}svc.${name}`, { queue: name, callback: take(false) }),
			nc.subscribe(`${root}inst.${name}.${instance}`, { callback: take(false) }),
			nc.subscribe(`${root}call.${name}`, { queue: name, callback: take(true) }),
		];
		const identity = { name, id: instance, version: this.#o.version, metadata: this.#metadata() };
		for (const [verb, answer] of /** @type {Array<[string, () => object]>} */ ([
			["PING", () => ({ type: "io.nats.micro.v1.ping_response", ...identity })],
			["INFO", () => ({ type: "io.nats.micro.v1.info_response", ...identity, description: this.#o.description ?? "", endpoints: this.#endpoints() })],
			["STATS", () => ({ type: "io.nats.micro.v1.stats_response", ...identity, started: this.#made.toISOString(), endpoints: this.#endpointStats() })],
		])) {
			for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${instance}`]) {
				this.#subs.push(nc.subscribe(subject, {
					callback: (err, m) => {
						if (!err && m.reply && isInbox(m.reply)) {
							m.respond(JSON.stringify(answer()));
						}
					},
				}));
			}
		}
	}

	#metadata() {
		const own = { kind: "service", instance: this.#o.instance, hostname: hostname(), processID: String(process.pid) };
		return { ...this.#o.metadata, ...own, ...(this.#work ? { "umf.queue": "true" } : {}) };
	}

	#endpoints() {
		const { name, instance } = this.#o;
		const routes = this.#routes.map((r) => r.text).join(" ");
		return [
			{ name: "call", subject: `${root}call.${name}`, queue_group: name, metadata: {} },
			{ name: "service", subject: `${root}svc.${name}`, queue_group: name, metadata: routes === "" ? {} : { "umf.route": routes } },
			{ name: "instance", subject: `${root}inst.${name}.${instance}`, queue_group: "", metadata: {} },
		];
	}

	#endpointStats() {
		const { time, lastError, ...stats } = this.#stats;
		const memory = process.memoryUsage();
		const data = {
			sampledOn: new Date().toISOString(), processID: process.pid, architecture: process.arch, platform: process.platform, nodeVersion: process.version,
			memory, uptimeSeconds: (Date.now() - this.#made.getTime()) / 1000, ...stats, waiting: this.#lanes.waiting,
		};
		const nanos = Math.round(time * 1e6);
		return this.#endpoints().map((e) => ({
			...e, num_requests: stats.handled, num_errors: stats.failed, last_error: lastError, processing_time: nanos,
			average_processing_time: stats.handled ? Math.round(nanos / stats.handled) : 0, data,
		}));
	}

	/** @param {Incoming} incoming */
	#take(incoming) {
		const key = incoming.call ? "" : (incoming.headers?.get("Umf-Session") ?? "");
		if (this.#lanes.offer(key, () => this.#answer(incoming))) {
			return;
		}
		this.#stats.rejected++;
		try {
			inside.refuse(inside.make(this.#host, incoming), failures.overload);
		} catch (err) {
			this.#say("warn", "refusal not sent", { error: String(err) });
		}
	}

	/** @param {Incoming} incoming */
	async #answer(incoming) {
		/** @type {ServiceRequest} */
		let request;
		try {
			request = inside.make(this.#host, incoming);
		} catch (err) {
			this.#stats.invalid++;
			this.#say("warn", "message dropped", { error: String(err) });
			return;
		}
		if (sidForm.test(request.session)) {
			this.#sessions.saw(request.session);
		}
		const seconds = Number(request.message.timeout);
		const limit = seconds > 0 ? Math.min(seconds * 1000, this.#o.handlerTimeout) : this.#o.handlerTimeout;
		const err = await this.#run(this.#find(request), request, limit);
		if (err !== undefined) {
			const level = err instanceof Failure ? "debug" : "warn";
			this.#say(level, "message failed", { mid: request.message.mid, error: textOf(err) });
			await this.#answerFailure(request, err);
		}
	}

	/** @param {ServiceRequest} request @returns {Handler|undefined} */
	#find(request) {
		if (request.method !== "") {
			const path = request.path.split("?", 1)[0] ?? "";
			for (const route of this.#routes) {
				const values = route.method === request.method ? match(route, path) : null;
				if (values) {
					request.params = values;
					return route.fn;
				}
			}
		}
		return this.#handler;
	}

	/**
	 * Runs a handler, for a limited time if there is a limit.
	 * @param {Handler|undefined} fn
	 * @param {ServiceRequest} request
	 * @param {number} limit ms; 0: none
	 * @returns {Promise<unknown>} what it threw; undefined: nothing
	 */
	async #run(fn, request, limit) {
		const start = performance.now();
		/** @type {NodeJS.Timeout|undefined} */
		let timer;
		/** @type {unknown} */
		let failed;
		try {
			const late = new Promise((_, reject) => {
				const end = () => {
					const err = new Error(this.#ended.signal.aborted ? "the service is closed" : "the handler's time is over");
					inside.end(request, err);
					reject(err);
				};
				if (limit > 0) {
					timer = setTimeout(end, limit);
				}
				this.#ended.signal.addEventListener("abort", end, { signal: request.signal });
			});
			late.catch(() => {});
			await Promise.race([handling.run(request, async () => {
				if (!fn) {
					throw failures.unsupported;
				}
				await fn(request);
			}), late]);
		} catch (err) {
			failed = err ?? new Error("the handler has thrown nothing");
		} finally {
			clearTimeout(timer);
			inside.end(request, new Error("the handler has ended")); // and lets go of the service's end
		}
		this.#stats.handled++;
		this.#stats.time += performance.now() - start;
		if (failed instanceof Failure) {
			this.#stats.refused++;
		} else if (failed !== undefined) {
			this.#stats.failed++;
			this.#stats.lastError = textOf(failed);
		}
		return failed;
	}

	// Tells the sender of a message that it failed, unless it has its answer, or the answer is
	// what failed.
	/** @param {ServiceRequest} request @param {unknown} err */
	async #answerFailure(request, err) {
		if (inside.answered(request)) {
			return;
		}
		const f = err instanceof Failure ? err : err instanceof BusError && err.code === "too_large" ? failures.tooLarge : failures.internal;
		try {
			await request.reply({ error: f.message, code: f.code });
		} catch (failed) {
			if (!(failed instanceof BusError && failed.code === "no_reply")) {
				this.#say("warn", "error reply not sent", { error: textOf(failed) });
			}
		}
	}

	// A message of this instance.
	/** @param {string} to @param {any} body @returns {Message} */
	#message(to, body) {
		return { to, from: this.address, mid: randomUUID(), timestamp: new Date().toISOString(), version: "UMF/1.4.6", body: jsonOf(body) };
	}

	// Publishes, at most once.
	/** @param {string} subject @param {string|Uint8Array} data @param {Record<string, string>} fields */
	#send(subject, data, fields) {
		const nc = this.#connection();
		try {
			nc.publish(subject, data, { headers: headersOf(fields) });
		} catch (err) {
			throw busError(err);
		}
	}

	// Stores in a mailbox, once for each mid and content, also when it has to be repeated.
	/** @param {string} sid @param {Message} m @param {Record<string, string>} fields */
	#store(sid, m, fields) {
		return this.#publish(mailboxOf(sid), sid, m, fields);
	}

	// why is asked when nobody listens, and rejects if that is for good.
	/** @param {string} subject @param {string} receiver @param {Message} m @param {Record<string, string>} more @param {() => Promise<void>} [why] */
	#publish(subject, receiver, m, more, why) {
		const data = writeMessage(m);
		/** @type {Record<string, string>} */
		const h = { ...more };
		if (m.mid) {
			const plain = /^[!-9;-}]{1,128}$/.test(m.mid);
			const mid = plain ? m.mid : "~" + createHash("sha256").update(m.mid).digest("base64url");
			h["Nats-Msg-Id"] = `${receiver}:${this.#o.instance}:${mid}~${contentID(m)}`;
		}
		if (Number(m.ttl) > 0) {
			h["Nats-TTL"] = String(Math.max(1, Math.ceil(Math.min(Number(m.ttl), 365 * 24 * 3600))));
		}
		let attempts = 0;
		return retry(this.#o.replyTimeout, async (timeout) => {
			this.#stats.retried += attempts++ > 0 ? 1 : 0;
			try {
				acknowledged(await this.#connection().request(subject, data, { timeout, headers: headersOf(h) }));
			} catch (err) {
				if (nobodyListens(err)) {
					await why?.();
				}
				throw err;
			}
		});
	}

	/**
	 * Stores a message in a session's mailbox, whether or not it is connected, and resolves
	 * when it is stored. Rejects with no_session where a node says that there is none.
	 * @param {string} session its id, or an address of it: the via of its message, sid@client:/
	 * @param {Push} push
	 * @returns {Promise<void>}
	 */
	async push(session, push) {
		const sid = sessionOf(session);
		if (sid === "") {
			throw new BusError("invalid", "not the id or the address of a session");
		}
		const m = this.#message(session === sid ? `${sid}@client:/` : session, push?.body);
		for (const key of /** @type {const} */ (["type", "headers", "ttl", "mid"])) {
			if (push?.[key] !== undefined) {
				Object.assign(m, { [key]: push[key] });
			}
		}
		const subject = `${root}exists.${sid[0]}.${sid}`;
		const gone = this.#sessions.gone(sid, () => this.#connection().request(subject, "", { timeout: nodeQuestion }));
		await this.#store(sid, m, traceNow());
		if (await gone) {
			throw new BusError("no_session", "there is no such session");
		}
	}

	/**
	 * Asks another service. It gets the message as a client's, but without session and user:
	 * that a client is somebody only nodes say. Rejects with unavailable where none runs.
	 * @param {string} service its name, or an address: orders:[GET]/v1/orders/7
	 * @param {any} [body] any JSON value; {}
	 * @param {{timeout?: number}} [options] ms; 10,000
	 * @returns {Promise<Message>} the answer
	 */
	async call(service, body, options = {}) {
		const to = addressOf(service);
		const timeout = options.timeout ?? this.#o.replyTimeout;
		try {
			const m = await this.#connection().request(`${root}call.${to.service}`, writeMessage(this.#message(to.address, body)), {
				timeout, headers: headersOf(traceNow()),
			});
			return readMessage(m.string());
		} catch (err) {
			throw busError(err);
		}
	}

	/**
	 * Stores work for a service, and resolves when it is stored. Rejects with no_queue where
	 * a node says that the service has registered no queue, and with unavailable where nobody
	 * takes it and no node says why.
	 * @param {string} to its name, or an address
	 * @param {any} [body] any JSON value; {}
	 * @returns {Promise<void>}
	 */
	async enqueue(to, body) {
		const { address, service } = addressOf(to);
		await this.#publish(root + "work." + service, service, this.#message(address, body), traceNow(), async () => {
			const answer = await this.#connection().request(`${root}exists.queue.${service}`, "", { timeout: nodeQuestion }).catch(() => undefined);
			if (answer?.string() === "no") {
				throw noQueue(service);
			}
		});
	}

	// Takes work until the service is closed. What is wrong is logged once until it is
	// another thing, or over.
	/** @param {{fn: Handler, o: Required<WorkOptions>}} work */
	async #takeWork(work) {
		let said = "";
		while (!this.#closing) {
			try {
				await this.#consume(work, () => {
					if (said !== "") {
						this.#say("info", "work queue goes on", {});
					}
					said = "";
				});
			} catch (err) {
				const text = textOf(err);
				if (!this.#closing && text !== said) {
					said = text;
					this.#say("warn", "work queue", { error: text });
				}
			}
			if (!this.#closing) {
				await sleep(Math.min(work.o.backoff, 1000), undefined, { signal: this.#ended.signal }).catch(() => {});
			}
		}
	}

	// The API that knows the service's queue: that which the edge's account gives to accounts
	// of services, else this account's own.
	async #queue() {
		const nc = this.#connection();
		for (const api of ["JS.EDGE", "$JS.API"]) {
			try {
				const m = await nc.request(`${api}.CONSUMER.INFO.${workStream}.${this.#o.name}`, "", { timeout: attemptTimeout });
				const info = /** @type {{error?: {err_code: number, description: string}, config?: {ack_wait?: number}}} */ (m.json());
				if (!info.error) {
					return { api, ackWait: (info.config?.ack_wait ?? 30e9) / 1e6 };
				}
				if (info.error.err_code !== 10014 && info.error.err_code !== 10059) {
					throw new BusError("unavailable", info.error.description);
				}
			} catch (err) {
				const e = busError(err);
				if (api !== "JS.EDGE" || (e.code !== "unavailable" && e.code !== "refused")) {
					throw e;
				}
			}
		}
		throw noQueue(this.#o.name);
	}

	/** @param {{fn: Handler, o: Required<WorkOptions>}} work @param {() => void} well */
	async #consume(work, well) {
		const { api, ackWait } = await this.#queue();
		const js = jetstream(this.#connection(), { apiPrefix: api });
		const consumer = await js.consumers.get(workStream, this.#o.name);
		const messages = await consumer.consume({
			max_messages: work.o.concurrency, expires: 30_000, idle_heartbeat: 1000, abort_on_missing_resource: true,
		});
		if (this.#closing) {
			messages.stop();
			return;
		}
		this.#taking = messages;
		well();
		for await (const m of messages) {
			while (this.#inWork.size >= work.o.concurrency) {
				await Promise.race(this.#inWork);
			}
			const job = this.#doWork(work, m, ackWait).catch((err) => this.#say("warn", "work", { error: textOf(err) })).then(() => {
				this.#inWork.delete(job);
			});
			this.#inWork.add(job);
		}
	}

	/** @param {{fn: Handler, o: Required<WorkOptions>}} work @param {JsMsg} m @param {number} ackWait ms */
	async #doWork(work, m, ackWait) {
		const attempts = m.info.deliveryCount;
		/** @type {ServiceRequest} */
		let request;
		try {
			request = inside.make(this.#host, { data: m.string(), headers: m.headers, reply: "", call: false });
		} catch (err) {
			this.#stats.invalid++;
			this.#giveUp(m, "", "invalid", err);
			return;
		}
		const mid = request.message.mid ?? "";
		const alive = setInterval(() => m.working(), Math.max(ackWait, 30) / 3);
		const err = await this.#run(work.fn, request, 0);
		clearInterval(alive);
		if (err === undefined) {
			m.ack();
		} else if (err instanceof Failure || attempts >= work.o.maxDeliver) {
			await this.#answerFailure(request, err);
			this.#giveUp(m, mid, err instanceof Failure ? err.code : failures.internal.code, err);
		} else {
			m.nak(Math.min(work.o.backoff * 2 ** Math.min(attempts - 1, 10), 60_000));
			this.#say("info", "work failed, and is tried again", { mid, attempts, error: textOf(err) });
		}
	}

	// Ends work that nobody will do: it goes to the dead letters, and out of the queue.
	/** @param {JsMsg} m @param {string} mid @param {string} code @param {unknown} why */
	#giveUp(m, mid, code, why) {
		/** @type {Record<string, string>} */
		const h = {};
		for (const [key, values] of m.headers ?? []) {
			if (!/^nats-/i.test(key)) {
				h[key] = values[0] ?? "";
			}
		}
		h["Umf-Reason"] = code;
		h["Umf-Attempts"] = String(m.info.deliveryCount);
		this.#send(`${root}dead.${this.#o.name}`, m.data, h);
		m.term(code);
		this.#say(why instanceof Failure ? "debug" : "warn", "work is given up", { mid, attempts: m.info.deliveryCount, error: textOf(why) });
	}

	/**
	 * Ends the service: it takes nothing new, and what has begun is finished, for at most
	 * drainTimeout; then the connection is closed.
	 * @returns {Promise<void>}
	 */
	close() {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close() {
		await Promise.resolve(); // close() has to be seen from here on
		const late = sleep(this.#o.drainTimeout, "late", { ref: false });
		const done = (async () => {
			this.#taking?.stop();
			await Promise.all(this.#subs.map((s) => s.drain().catch(() => {}))); // what the server has sent is here then
			await this.#working;
			await Promise.all(this.#inWork);
			await this.#lanes.idle();
		})();
		if ((await Promise.race([done, late])) === "late") {
			this.#say("warn", "closed with work left", {});
		}
		this.#ended.abort();
		const nc = this.#nc;
		this.#nc = undefined;
		if (nc && !nc.isClosed()) {
			await Promise.race([nc.drain().catch(() => {}), sleep(2000, undefined, { ref: false })]);
			await nc.close();
		}
	}
}

/** @param {unknown} err */
const textOf = (err) => (err instanceof Error ? (err.stack ?? err.message) : String(err));

/** @param {any} body */
function jsonOf(body) {
	if (body === undefined) {
		return {};
	}
	/** @type {string|undefined} */
	let text;
	try {
		text = JSON.stringify(body);
	} catch (err) {
		throw new BusError("invalid", "the body is no JSON", err);
	}
	if (text === undefined) {
		throw new BusError("invalid", "the body is no JSON");
	}
	return body;
}

/** @param {Record<string, string>} fields */
function headersOf(fields) {
	const h = newHeaders();
	for (const [key, value] of Object.entries(fields)) {
		h.set(key, value.replace(/[\r\n]+/g, " "));
	}
	return h;
}

/**
 * Reads the answer of a stream.
 * @param {Msg} m
 */
function acknowledged(m) {
	/** @type {{stream?: string, error?: {err_code: number, description: string}}} */
	let ack;
	try {
		ack = m.json();
	} catch (err) {
		throw new BusError("unconfirmed", "what came is no acknowledgement", err);
	}
	if (ack.error) {
		const codes = /** @type {Record<number, string>} */ ({ 10008: "unavailable", 10158: "unconfirmed" });
		throw new BusError(codes[ack.error.err_code] ?? "refused", `not stored: ${ack.error.description} (${ack.error.err_code})`);
	}
	if (!ack.stream) {
		throw new BusError("unconfirmed", "what came is no acknowledgement");
	}
}

/**
 * A password, as it is asked for at every connect: a file may be replaced at any time. One
 * that cannot be read, or is empty, is being replaced, and what it held last counts.
 * @param {string|undefined} text
 * @param {string|undefined} file
 * @returns {() => string}
 */
function password(text, file) {
	if (!file) {
		return () => text ?? "";
	}
	const read = () => readFileSync(file, "utf8").replace(/[\r\n]+$/, "");
	let last = read();
	return () => {
		try {
			last = read() || last;
		} catch {
			// see above
		}
		return last;
	};
}

/**
 * The NATS server inside a node on this machine, which says in its data directory where it
 * listens, and to whom: package bus/local.
 * @returns {{address: string, password: string}|undefined} password is a file
 */
function ownServer() {
	const dir = process.env.EDGE_DATA_DIR || "hydrant-data";
	const found = join(dir, "nats-service.password");
	try {
		accessSync(found);
		return { address: readFileSync(join(dir, "nats.url"), "utf8").trim(), password: found };
	} catch {
		return undefined;
	}
}

// A password is given to no other server than the one that the directory names.
/** @param {string} address @param {string} own */
function sameServer(address, own) {
	const [a, b] = [address, own].map((text) => new URL(text.includes("://") ? text : "nats://" + text));
	const loopback = (/** @type {string} */ host) => host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
	return a !== undefined && b !== undefined && a.protocol === "nats:" && a.username === "" && (a.port || "4222") === (b.port || "4222") &&
		(a.hostname === b.hostname || (loopback(a.hostname) && loopback(b.hostname)));
}

/**
 * Completes the options of a connection: it is kept for ever, also to a server that refuses
 * it for now, and a silent server is noticed in 15 s.
 * @param {NodeConnectionOptions} given
 * @param {string} name
 * @returns {NodeConnectionOptions}
 */
function natsOptions(given, name) {
	const env = process.env;
	/** @type {NodeConnectionOptions} */
	const o = {
		name: `service-${name}`, reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 250, reconnectJitter: 500, reconnectJitterTLS: 500,
		timeout: 2000, pingInterval: 5000, maxPingOut: 2, ignoreAuthErrorAbort: true, ...given,
	};
	const own = ownServer();
	const addresses = [o.servers ?? env.NATS_URL ?? (own?.address || "nats://localhost:4222")].flat().flatMap((s) => s.split(",")).map((s) => s.trim());
	o.servers = addresses.map((address) => {
		const url = new URL(address.includes("://") ? address : "nats://" + address);
		if (url.username !== "" && o.user === undefined && o.token === undefined && o.authenticator === undefined) {
			if (url.password === "") {
				o.token = decodeURIComponent(url.username);
			} else {
				o.user = decodeURIComponent(url.username);
				o.pass = decodeURIComponent(url.password);
			}
		}
		if (url.protocol === "tls:") {
			o.tls ??= {};
		}
		return url.host;
	});
	const user = env.NATS_USER;
	let mine = o.user;
	if (user && o.user === undefined && o.token === undefined && o.authenticator === undefined) {
		mine = user;
		o.authenticator = usernamePasswordAuthenticator(user, password(env.NATS_PASSWORD, env.NATS_PASSWORD_FILE));
	}
	if (own && mine === undefined && o.token === undefined && o.authenticator === undefined && addresses.every((a) => sameServer(a, own.address))) {
		mine = "service";
		o.authenticator = usernamePasswordAuthenticator(mine, password(undefined, own.password));
	}
	if (o.tls === undefined && (env.NATS_CA || env.NATS_CERT)) {
		o.tls = { ...(env.NATS_CA ? { caFile: env.NATS_CA } : {}), ...(env.NATS_CERT && env.NATS_KEY ? { certFile: env.NATS_CERT, keyFile: env.NATS_KEY } : {}) };
	}
	o.inboxPrefix ??= env.NATS_INBOX_PREFIX || (mine && nameForm.test(mine) ? "_INBOX_" + mine : "_INBOX");
	return o;
}

/**
 * Connects a service to NATS, and waits for it as long as that takes. Messages are taken
 * from the first handler on.
 * @param {ServiceOptions & NodeConnectionOptions} options
 * @returns {Promise<Service>}
 */
export function connectService(options) {
	return openService(options);
}
