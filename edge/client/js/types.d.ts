/** A UMF message in short form, as the node sends it. */
export interface Message {
	to: string;
	frm: string;
	mid: string;
	/** mid of the message that it answers */
	rmid?: string;
	typ?: string;
	ts?: string;
	hdr?: Record<string, any>;
	bdy: any;
	[key: string]: any;
}

/** first: at the beginning; expiring: the last token ends soon; refused: it was not taken */
export type Why = "first" | "expiring" | "refused";

export type State = "connecting" | "open" | "waiting" | "closed";

export interface StorageLike {
	getItem(key: string): string | null;
	setItem(key: string, value: string): void;
	removeItem(key: string): void;
}

export interface Options {
	/** shows who the user is; a function is asked when one is needed */
	token?: string | null | ((why: Why) => string | null | Promise<string | null>);
	/** keeps the session; null: memory. The default is sessionStorage, where Web Locks tell a copied tab from a reload */
	storage?: StorageLike | null;
	/** where the platform has none */
	WebSocket?: new (url: string, protocols: string[]) => any;
	/** between two attempts; 500 and 30,000 ms */
	backoff?: { min?: number; max?: number };
	/** of connecting, of the token, and of requests that say nothing else; 10,000 ms */
	timeout?: number;
	/** what may have no outcome yet; 1,000 messages, 1 MiB */
	queue?: { messages?: number; bytes?: number };
	/** false: a message counts as handled when it has arrived */
	confirm?: boolean;
	/** returns the signature of a message's canonical text, where messages must be signed */
	sign?: (text: string) => string | Promise<string>;
}

export interface SendOptions {
	type?: string;
	headers?: Record<string, any>;
	/** seconds for which it is worth delivering */
	ttl?: number;
	mid?: string;
	/** mid of the message that it answers */
	rmid?: string;
	/** stored as work for the service */
	queue?: boolean;
}

export interface RequestOptions {
	type?: string;
	headers?: Record<string, any>;
	mid?: string;
	/** ms */
	timeout?: number;
	signal?: AbortSignal;
	/** false: not asked again after a connection was lost */
	repeat?: boolean;
}

export interface Gap {
	from: string;
	to: string;
	why: string;
	/** how many messages, where that is known */
	lost?: number;
}

export interface Events {
	/** one that no handler takes */
	message: (message: Message) => void;
	state: (state: State, why?: Error) => void;
	session: (session: { id: string; resumed: boolean; why: string | null }) => void;
	/** messages are lost */
	gap: (gap: Gap) => void;
	/** what nobody else is told */
	error: (error: any) => void;
}

/** A message without an outcome. */
export interface Entry {
	head: Record<string, any>;
	/** JSON */
	body: string;
	forward?: string;
	size: number;
	request: boolean;
	/** false: it is not asked again */
	repeat?: boolean;
	/** when it was first written; 0: never */
	at: number;
	/** when it had been written before; a request has none */
	before?: number;
	/** the socket that it was written to */
	on: any;
	resolve: (value?: any) => void;
	reject: (why: any) => void;
	timer?: any;
	off?: () => void;
}

/** Something that has arrived and is not handled. */
export interface Item {
	/** none: there is nothing to do but to confirm it */
	message?: Message;
	seq?: string;
	session: string;
	on: any;
}
