// @ts-check

/**
 * The line of one client, which can be dropped and looked at. Its Socket goes to the
 * client in place of the browser's WebSocket, and passes everything on to one.
 */
export class Line {
	#down = false;
	/** @type {Socket | undefined} */ #socket;
	/** @param {{frame: (way: "in" | "out", text: string) => void, open: (port: string) => void, gone: (why: string) => void, dead: (port: string) => boolean}} told */
	constructor(told) {
		this.told = told;
		const line = this;
		/** what the client is given */
		this.Socket = class {
			/** @param {string} url @param {string[]} protocols */
			constructor(url, protocols) {
				return (line.#socket = new Socket(line, url, protocols));
			}
		};
	}

	get down() {
		return this.#down;
	}

	/** From now on nothing gets through, in either direction; what is on its way is gone. */
	drop() {
		this.#down = true;
		this.#socket?.cut();
	}

	restore() {
		this.#down = false;
		dispatchEvent(new Event("online")); // as a browser says it
	}
}

/** What the client sees of one connection. */
class Socket {
	/** @type {((event: any) => void) | null} */ onmessage = null;
	/** @type {((event: any) => void) | null} */ onclose = null;
	onerror = null;
	/** @type {WebSocket | undefined} */ #real;
	#line;

	/** @param {Line} line @param {string} url @param {string[]} protocols */
	constructor(line, url, protocols) {
		this.#line = line;
		const { port } = new URL(url);
		// A node that was killed would refuse, and the browser write that into its console.
		if (line.down || line.told.dead(port)) {
			setTimeout(() => this.#end());
			return;
		}
		const real = (this.#real = new WebSocket(url, protocols));
		real.onopen = () => line.told.open(port);
		real.onmessage = (event) => {
			line.told.frame("in", event.data);
			this.onmessage?.(event);
		};
		real.onclose = (event) => {
			line.told.gone(event.code === 1006 ? "the connection is gone" : `closed: ${event.code} ${event.reason}`);
			this.onclose?.(event);
		};
	}

	get readyState() {
		return this.#real?.readyState ?? WebSocket.CLOSED;
	}

	/** @param {string} text */
	send(text) {
		this.#line.told.frame("out", text);
		this.#real?.send(text);
	}

	/** @param {number} [code] @param {string} [reason] */
	close(code, reason) {
		this.#real?.close(code, reason);
	}

	/** Ends it for the client as a network does: without a word. */
	cut() {
		const real = this.#real;
		if (!real || real.readyState > WebSocket.OPEN) return;
		this.#real = undefined;
		real.onmessage = real.onclose = null;
		real.onopen = () => real.close(); // a browser complains where one is closed earlier
		if (real.readyState === WebSocket.OPEN) real.close();
		this.#line.told.gone("the line is dropped");
		this.#end();
	}

	#end() {
		this.onclose?.({ code: 1006, reason: "" });
	}
}
