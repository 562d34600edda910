/**
 * Connects a service to NATS, and waits for it as long as that takes. Messages are taken
 * from the first handler on.
 * @param {ServiceOptions & NodeConnectionOptions} options
 * @returns {Promise<Service>}
 */
export function connectService(options: ServiceOptions & NodeConnectionOptions): Promise<Service>;
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
 * NATS_INBOX_PREFIX, NATS_CA, NATS_CERT and NATS_KEY say.
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
    constructor(code: string, text: string);
    code: string;
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
    constructor(code: string, text: string, cause?: unknown);
    code: string;
}
/** A message that a handler is to handle. It may be answered later, and more than once. */
export class ServiceRequest {
    /** @private @param {Host} service @param {Incoming} incoming */
    private constructor();
    /** As the client sent it, with the node's via. @readonly */
    readonly message: Message;
    /** Id of the sender's session; "" if the message did not come through a node. @readonly */
    readonly session: string;
    /** Who the sender proved to be; "": nobody. @readonly */
    readonly user: string;
    /** Of a message to service:[METHOD]path; "". @readonly */
    readonly method: string;
    /** @readonly */
    readonly path: string;
    /** What the wildcards of the route stand for. @type {Record<string, string>} */
    params: Record<string, string>;
    /** Ends when the handler's time is over. @returns {AbortSignal} */
    get signal(): AbortSignal;
    /** @returns {any} */
    get body(): any;
    /** What stands after the path of a [METHOD] request. @returns {URLSearchParams} */
    get query(): URLSearchParams;
    /**
     * One of the headers that the sender wrote, by its name in lower case: over HTTP those of
     * the request.
     * @param {string} name
     * @returns {string}
     */
    header(name: string): string;
    /** The body of a [METHOD] request as it came over HTTP, and its content type. */
    content(): {
        type: string;
        bytes: Buffer<ArrayBuffer>;
    };
    /**
     * Answers. To a session it goes through the mailbox, and resolves when that has stored it;
     * to a [METHOD] request, or to who waits on NATS, it is sent at most once.
     * @param {any} [body] any JSON value; {}
     * @param {ReplyOptions} [options]
     * @returns {Promise<void>}
     */
    reply(body?: any, options?: ReplyOptions): Promise<void>;
    #private;
}
/** One instance of a service. Made by connectService. */
export class Service {
    /** @private @param {ServiceOptions & NodeConnectionOptions} options */
    private constructor();
    get name(): string;
    get instance(): string;
    /** The UMF address of this instance. */
    get address(): string;
    /**
     * Handles every message that no route takes.
     * @param {Handler} fn
     * @returns {this}
     */
    handle(fn: Handler): this;
    /**
     * Handles requests of clients to service:[METHOD]path, and the same over HTTP.
     * @param {string} pattern [GET]/v1/users/{id}; of several that match the first counts
     * @param {Handler} fn
     * @returns {this}
     */
    route(pattern: string, fn: Handler): this;
    /**
     * Takes from the service's work queue, which all instances share. A message is done when
     * the handler's promise has resolved, and given up after a Failure, which goes to the
     * sender; after any other error it is tried again, by any instance. What is given up is
     * published to umf.v1.dead.<service> as it was, with Umf-Reason and Umf-Attempts.
     * @param {Handler} fn
     * @param {WorkOptions} [options]
     * @returns {this}
     */
    work(fn: Handler, options?: WorkOptions): this;
    /**
     * Stores a message in a session's mailbox, whether or not it is connected, and resolves
     * when it is stored. Rejects with no_session where a node says that there is none.
     * @param {string} session its id, or an address of it: the via of its message, sid@client:/
     * @param {Push} push
     * @returns {Promise<void>}
     */
    push(session: string, push: Push): Promise<void>;
    /**
     * Asks another service. It gets the message as a client's, but without session and user:
     * that a client is somebody only nodes say. Rejects with unavailable where none runs.
     * @param {string} service its name, or an address: orders:[GET]/v1/orders/7
     * @param {any} [body] any JSON value; {}
     * @param {{timeout?: number}} [options] ms; 10,000
     * @returns {Promise<Message>} the answer
     */
    call(service: string, body?: any, options?: {
        timeout?: number;
    }): Promise<Message>;
    /**
     * Stores work for a service, and resolves when it is stored. Rejects with no_queue where
     * a node says that the service has registered no queue, and with unavailable where nobody
     * takes it and no node says why.
     * @param {string} to its name, or an address
     * @param {any} [body] any JSON value; {}
     * @returns {Promise<void>}
     */
    enqueue(to: string, body?: any): Promise<void>;
    /**
     * Ends the service: it takes nothing new, and what has begun is finished, for at most
     * drainTimeout; then the connection is closed.
     * @returns {Promise<void>}
     */
    close(): Promise<void>;
    #private;
}
export type Address = {
    /**
     * "" for any
     */
    instance: string;
    service: string;
    /**
     * of HTTP, in upper case; "" for a message that is no request
     */
    method: string;
    path: string;
};
export type Route = ReturnType<typeof parseRoute> & {
    fn: Handler;
};
export type NatsConnection = import("@nats-io/transport-node").NatsConnection;
export type NodeConnectionOptions = import("@nats-io/transport-node").NodeConnectionOptions;
export type Msg = import("@nats-io/transport-node").Msg;
export type MsgHdrs = import("@nats-io/transport-node").MsgHdrs;
export type Subscription = import("@nats-io/transport-node").Subscription;
export type JsMsg = import("@nats-io/jetstream").JsMsg;
/**
 * A UMF message. What arrives has at least to, from and body.
 */
export type Message = {
    to: string;
    from: string;
    /**
     * any JSON value
     */
    body: any;
    mid?: string | undefined;
    /**
     * mid of the message that this one answers
     */
    rmid?: string | undefined;
    type?: string | undefined;
    headers?: Record<string, any> | undefined;
    via?: string | undefined;
    forward?: string | undefined;
    timestamp?: string | undefined;
    version?: string | undefined;
    /**
     * seconds that the sender waits
     */
    timeout?: string | number | undefined;
    /**
     * seconds for which the message is worth delivering
     */
    ttl?: string | number | undefined;
    priority?: string | number | undefined;
    authorization?: string | undefined;
    signature?: string | undefined;
    for?: string | undefined;
};
export type Logger = {
    debug?: ((text: string, facts: object) => void) | undefined;
    info?: ((text: string, facts: object) => void) | undefined;
    warn?: ((text: string, facts: object) => void) | undefined;
};
/**
 * What a service is called, and how it reaches NATS; all other options are those of
 * connect in
 */
export type ServiceOptions = {
    /**
     * that clients send to: letters, digits, "_" and "-"
     */
    name: string;
    /**
     * as semantic versioning has it; 0.0.0
     */
    version?: string | undefined;
    description?: string | undefined;
    /**
     * distinguishes this process; random
     */
    instance?: string | undefined;
    /**
     * shown by discovery
     */
    metadata?: Record<string, string> | undefined;
    /**
     * handlers that run at a time; 64
     */
    concurrency?: number | undefined;
    /**
     * messages that wait for one; 32,768
     */
    queue?: number | undefined;
    /**
     * ms after which a handler has failed; 30,000
     */
    handlerTimeout?: number | undefined;
    /**
     * ms for a reply or a push, with its repetitions; 10,000
     */
    replyTimeout?: number | undefined;
    /**
     * ms for what has begun when the service is closed; 30,000
     */
    drainTimeout?: number | undefined;
    /**
     * the console, without debug
     */
    logger?: Logger | undefined;
};
export type WorkOptions = {
    /**
     * messages in work in this process; 16
     */
    concurrency?: number | undefined;
    /**
     * attempts at one message; 10
     */
    maxDeliver?: number | undefined;
    /**
     * ms before the second attempt, doubled with each, up to a minute; 1,000
     */
    backoff?: number | undefined;
};
export type ReplyOptions = {
    /**
     * of the message; that of the question
     */
    type?: string | undefined;
    /**
     * makes the answer to a [METHOD] request one of HTTP: the body
     * goes as it is, a string or bytes as they are, else as JSON
     */
    status?: number | undefined;
    /**
     * of the message; of HTTP where there is a status
     */
    headers?: Record<string, any> | undefined;
};
export type Push = {
    /**
     * any JSON value; {}
     */
    body?: any;
    type?: string | undefined;
    headers?: Record<string, any> | undefined;
    /**
     * seconds for which it is worth delivering
     */
    ttl?: number | undefined;
    /**
     * random. Under one mid the same push is stored once within a minute
     */
    mid?: string | undefined;
};
/**
 * may be async
 */
export type Handler = (request: ServiceRequest) => any;
/**
 * What a request needs of its service.
 */
export type Host = {
    name: string;
    instance: string;
    address: string;
    message: (to: string, body: any) => Message;
    send: (subject: string, data: string | Uint8Array, fields: Record<string, string>) => void;
    store: (sid: string, m: Message, fields: Record<string, string>) => Promise<void>;
};
export type Incoming = {
    data: string;
    headers: MsgHdrs | undefined;
    reply: string;
    call: boolean;
};
/**
 * Reads a route, [METHOD]/v1/users/{id}. A segment {name} or :name stands for any one that
 * is not empty.
 * @param {string} text
 */
declare function parseRoute(text: string): {
    method: string;
    segments: {
        name: string;
        text: string;
    }[];
    text: string;
    form: string;
};
export {};
