// @ts-check
import { connect } from "/hydrant.js";
import { Line } from "./line.js";
import { Tally } from "./tally.js";

const FRAMES = 40; // that each line shows
const run = crypto.getRandomValues(new Uint32Array(1))[0]; // whose numbers are counted
const ports = (document.body.dataset.ports ?? "").split(" ");

/** @type {<T extends HTMLElement>(selector: string, within?: ParentNode) => T} */
const one = (selector, within = document) => {
	const found = /** @type {any} */ (within.querySelector(selector));
	if (!found) throw new Error(`the page has no ${selector}`);
	return found;
};
/** @param {string} id @returns {HTMLElement} */
const copy = (id) => /** @type {any} */ (document.importNode(one(`#${id}`)["content"].firstElementChild, true));
/** @param {ParentNode} within @param {string} selector @param {string | number} text */
const write = (within, selector, text) => within.querySelectorAll(selector).forEach((e) => (e.textContent = String(text)));
/** @param {string} text */
const say = (text) => write(document, "#said", text);
/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs one thing at a time on a button, which keeps the focus meanwhile. @param {HTMLElement} button @param {() => any} fn */
function press(button, fn) {
	button.addEventListener("click", async (event) => {
		event.preventDefault();
		if (button.ariaDisabled === "true") return;
		button.ariaDisabled = "true";
		try {
			await fn();
		} catch (error) {
			say(`That did not work: ${error.message}.`);
		} finally {
			button.ariaDisabled = null;
		}
	});
}

/** A client, its line, and what the page shows of them. */
class Person {
	/** @type {Person} */ peer;
	tally = new Tally();
	port = "";
	/** @type {{key: string, times: number, row: HTMLElement} | undefined} */ #last;

	/** @param {string} name @param {string[]} order of the nodes */
	constructor(name, order) {
		this.name = name;
		this.box = copy("person");
		this.box.id = name.toLowerCase();
		this.box.setAttribute("aria-labelledby", `${this.box.id}-name`);
		one("h2", this.box).id = `${this.box.id}-name`;
		write(this.box, "h2, .name", name);
		one(".wire", this.box).setAttribute("aria-label", `What goes over ${name}'s line`);
		one("progress", this.box).setAttribute("aria-label", `Messages to ${name} that have arrived`);
		this.line = new Line({
			frame: (way, text) => this.frame(way, text),
			open: (port) => this.open(port),
			gone: (why) => this.note(why, "bad"),
			dead: (port) => !known[port].up,
		});
		const urls = order.map((port) => `ws://${location.hostname}:${port}`);
		this.client = connect(urls, { WebSocket: this.line.Socket });
		this.client.on("state", () => this.look());
		this.client.on("session", ({ resumed }) => resumed && this.note("the session goes on", "good"));
		this.client.on("error", (error) => this.note(`${error.code ?? "error"}: ${error.message}`, "bad"));
		this.client.on("gap", (gap) => this.note(`a gap: ${gap.why}`, "bad"));
		this.client.on("message", (message) => this.got(message));
		this.client.handle("number", ({ bdy }) => {
			if (bdy.run !== run) return; // of the page before a reload
			this.tally.take(bdy.n);
			this.count();
		});
		this.#buttons();
	}

	#buttons() {
		press(one(".drop", this.box), () => (this.line.down ? this.plug() : this.drop()));
		press(one(".kill", this.box), () => kill(this));
		press(one(".hundred", this.box), () => hundredWhileAway(this));
		press(one(".tell", this.box), () => this.client.send(`${this.peer.client.session}@client:/`, { says: this.#text() }));
		press(one(".ask", this.box), async () => this.got(await this.client.request("echo:/", { says: this.#text() })));
		one("form", this.box).addEventListener("submit", (event) => event.preventDefault());
	}

	#text() {
		return one("input", this.box)["value"];
	}

	drop() {
		this.line.drop();
		say(`${this.name}'s line is dropped. What is sent to ${this.name} now waits.`);
		this.look();
	}

	plug() {
		this.line.restore();
		say(`${this.name}'s line is back.`);
		this.look();
	}

	/** @param {string} port */
	open(port) {
		this.port = port;
		this.note(`connected to :${port}`, "good");
	}

	/** Shows where the client is. */
	look() {
		const { state } = this.client;
		const open = state === "open";
		this.box.dataset.state = open ? "open" : this.line.down ? "down" : "waiting";
		write(this.box, ".where .state", open ? `on node :${this.port}` : this.line.down ? "line dropped" : state === "closed" ? "closed" : "connecting");
		write(this.box, ".drop .label", this.line.down ? "Plug the line in" : "Drop the line");
		if (ready) nodes();
	}

	/** Shows the count. */
	count() {
		const { sent, arrived, waiting, lost, twice, disordered } = this.tally;
		for (const [name, value] of Object.entries({ sent, arrived, waiting, lost, twice, disordered })) {
			write(this.box, `.${name}`, value);
			one(`.${name}`, this.box).classList.toggle("bad", value > 0 && ["lost", "twice", "disordered"].includes(name));
		}
		const bar = /** @type {HTMLProgressElement} */ (one("progress", this.box));
		[bar.max, bar.value] = [Math.max(sent, 1), arrived];
	}

	/** @param {any} message that is no number */
	got(message) {
		const from = message.frm.endsWith("@client:/") ? this.peer.name : message.frm.replace(/^.*@/, "");
		write(this.box, ".got", `${from} says: ${message.bdy?.says ?? JSON.stringify(message.bdy)}`);
	}

	/** Sends the other one's next numbers to it. @param {Person} to @param {number} count */
	async number(to, count) {
		const sent = Array.from({ length: count }, async () => {
			const n = to.tally.next();
			try {
				await this.client.send(`${to.client.session}@client:/`, { n, run }, { type: "number" });
				return true;
			} catch (error) {
				to.tally.refuse(n);
				this.note(`${error.code}: ${error.message}`, "bad");
				return false;
			} finally {
				to.count();
			}
		});
		to.count();
		return (await Promise.all(sent)).filter(Boolean).length;
	}

	/** Waits until everything that was sent to it has arrived. */
	async complete() {
		while (this.tally.waiting > 0) await pause(50);
	}

	// What goes over the line.

	/** @param {"in" | "out"} way @param {string} text */
	frame(way, text) {
		const message = JSON.parse(text);
		const kind = message.typ ?? message.type ?? (message.rmid ? "answer" : "message");
		this.#row(way, kind === "connection" ? "welcome" : kind, shortened(message));
	}

	/** @param {string} text @param {"good" | "bad"} kind */
	note(text, kind) {
		this.#row(kind, text, "");
	}

	/** @param {"in" | "out" | "good" | "bad"} way @param {string} title @param {string} text */
	#row(way, title, text) {
		const list = one(".wire", this.box);
		const below = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
		const key = `${way} ${title}`;
		if (this.#last?.key === key) {
			write(this.#last.row, ".times", `× ${++this.#last.times}`);
			write(this.#last.row, "code", text);
		} else {
			const row = copy("frame");
			row.className = way;
			write(row, ".way", { in: "↓", out: "↑", good: "●", bad: "○" }[way]);
			write(row, ".hidden", { in: "received", out: "sent", good: "", bad: "" }[way]);
			write(row, "b", title);
			write(row, "code", text);
			const rows = one("ol", list);
			rows.append(row);
			while (rows.childElementCount > FRAMES) rows.firstElementChild?.remove();
			this.#last = { key, times: 1, row };
		}
		if (below) list.scrollTop = list.scrollHeight;
	}
}

/** A message as it can be read: ids are long. So are secrets, and not to be seen. @param {any} message */
function shortened(message) {
	const text = JSON.stringify(message, (key, value) => (key === "token" ? "…" : value));
	return text.replace(/[0-9a-z-]{20,}/g, (id) => `${id.slice(0, 5)}…`);
}

// The nodes.

/** @type {Record<string, {up: boolean, id?: string}>} */
const known = Object.fromEntries(ports.map((port) => [port, { up: true }]));

function nodes() {
	ports.forEach((port, i) => {
		const row = one("#nodes").children[i];
		const on = people.filter((p) => p.client.state === "open" && p.port === port).map((p) => p.name);
		row.className = known[port].up ? "up" : "";
		write(row, ".state", known[port].up ? (on.length ? `serves ${on.join(" and ")}` : "runs, without clients") : "killed; starts again");
	});
}

/** Which nodes run, as one that runs tells it. @returns {Promise<Record<string, string>>} their ids by port */
async function running() {
	const { client } = people.find((p) => !p.line.down) ?? people[0];
	const { bdy } = await client.request("hydra-router:[GET]/v1/router/list/nodes", {}, { timeout: 2000 });
	const rows = bdy.filter((/** @type {any} */ row) => row.serviceName === "hydra-router");
	return Object.fromEntries(rows.map((/** @type {any} */ row) => [row.port, row.instanceID]));
}

/** Kills the node that a client is on, and waits until it runs again. @param {Person} person */
async function kill({ port, name, line }) {
	if (line.down) return say(`${name} is on no node: the line is dropped.`);
	if (!Object.values(known).every(({ up }) => up)) return say("One at a time: the other node starts again.");
	const { [port]: id } = await running();
	known[port] = { up: false, id }; // before it is, or its client might come back to it
	const { killed, why } = await killing(port).catch(() => ({ killed: true, why: "" })); // it was gone before it had answered
	if (!killed) {
		known[port] = { up: true };
		return say(`Not killed: ${why}.`);
	}
	say(`Node :${port} is killed, as by a crash. Its clients go on with the other one.`);
	nodes();
	back(port);
}

/** @param {string} port */
async function killing(port) {
	const response = await fetch(`/demo/kill?node=${port}`, { method: "POST" });
	return response.ok ? response.json() : { killed: false, why: (await response.text()).trim() };
}

/** Waits for a node that was killed. @param {string} port */
async function back(port) {
	for (let seen = 0; seen < 2; ) { // it is listed a moment before it listens
		await pause(500);
		const now = await running().catch(() => ({}));
		if (now[port] && now[port] !== known[port].id) seen++;
	}
	known[port] = { up: true };
	nodes();
}

// What the buttons show.

/** @param {Person} to */
async function hundredWhileAway(to) {
	const was = to.line.down;
	if (!was) to.drop();
	say(`${to.name} is away. ${to.peer.name} sends 100 messages.`);
	const stored = await to.peer.number(to, 100);
	say(`${stored} of 100 are stored while ${to.name} is away.`);
	if (was) return;
	await pause(700); // to be seen
	to.plug();
	await to.complete();
	verdict([to]);
}

/** @param {Person[]} of */
function verdict(of) {
	const sum = (/** @type {keyof Tally} */ key) => of.reduce((n, { tally }) => n + Number(tally[key]), 0);
	const all = `${sum("arrived")} of ${sum("sent")} arrived`;
	const faults = sum("lost") + sum("twice") + sum("disordered");
	say(faults === 0 ? `${all}: none lost, none twice, all in order.` : `${all}; ${sum("lost")} lost, ${sum("twice")} twice, ${sum("disordered")} out of order.`);
}

async function show() {
	const [ann, ben] = people;
	for (const person of people) {
		if (person.line.down) person.plug();
		await person.client.ready();
	}
	await hundredWhileAway(ann);
	await pause(1200);
	const began = ben.number(ann, 20);
	await kill(ann);
	for (let i = 0; i < 8; i++) {
		await pause(100);
		ben.number(ann, 10);
	}
	await began;
	await ann.complete();
	await pause(700);
	verdict([ann]);
}

// The page.

let ready = false;
for (const port of ports) {
	const row = copy("node");
	write(row, ".port", `Node :${port}`);
	one("#nodes").append(row);
}
const people = [new Person("Ann", ports), new Person("Ben", ports.toReversed())];
[people[0].peer, people[1].peer] = [people[1], people[0]];
ready = true;
for (const person of people) {
	write(person.box, ".peer", person.peer.name);
	one("#people").append(person.box);
}
write(document, ".origin", location.origin);
write(document, ".urls", ports.map((port) => JSON.stringify(`ws://${location.hostname}:${port}`)).join(", "));
nodes();
press(one("#show"), show);
Promise.all(people.map((person) => person.client.ready())).then(
	() => say("Both are connected, each to a node of its own."),
	(error) => say(`No connection: ${error.message}.`),
);
