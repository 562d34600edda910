// @ts-check

/** Counts numbered messages on their way to one client. */
export class Tally {
	sent = 0;
	arrived = 0;
	lost = 0;
	twice = 0;
	disordered = 0;
	#last = 0;
	/** @type {Set<number>} before the last */ #missing = new Set();
	/** @type {Set<number>} */ #refused = new Set();

	/** those that somebody has for the client */
	get waiting() {
		return Math.max(0, this.sent - this.arrived - this.lost);
	}

	/** @returns {number} the number of the next message */
	next() {
		return ++this.sent;
	}

	/** Nobody has taken it, and the sender was told. @param {number} n */
	refuse(n) {
		if (n > this.#last || this.#missing.delete(n)) {
			this.#refused.add(n);
			this.lost++;
		}
	}

	/** @param {number} n */
	take(n) {
		if (this.#refused.delete(n)) this.lost--; // the sender did not know
		if (n > this.#last) {
			for (let skipped = this.#last + 1; skipped < n; skipped++) if (!this.#refused.has(skipped)) this.#missing.add(skipped);
			this.#last = n;
		} else if (this.#missing.delete(n)) this.disordered++;
		else {
			this.twice++;
			return;
		}
		this.arrived++;
	}
}
