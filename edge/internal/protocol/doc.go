// Package protocol is what a node says to clients and reads from them: the
// messages of the node itself, their bodies, codes of errors and closes, and the
// bodies of reconnect and ack. It is pure: bytes in, bytes out, without sockets,
// NATS, goroutines or a clock. The format of messages is package umf.
//
// Its base is the protocol of Hydra Router, a router on Node.js and Redis, whose
// clients work unchanged. Where a rule is ours, the last section says so.
//
// # Connecting
//
// A client opens a WebSocket (RFC 6455) to any path. It and the node exchange
// UMF messages, one a frame. A message may be in long form, in short form or a
// mixture; a binary frame is read as if it were text. The node sends text frames
// in short form.
//
// Of the subprotocols that a client offers, umf.ack.v1 is selected if it is one of
// them, else umf.v1, which is the second edition of this protocol without
// confirming, else the first, whatever it is, since browsers fail where none is. One
// that carries a secret (umf.auth.…, umf.resume.…) is never selected; where nothing
// else is offered the answer is 400.
//
// With EDGE_AUTH a client brings a token: as "Authorization: Bearer", as
// subprotocol umf.auth.<token>, in the cookie EDGE_AUTH_COOKIE, or as
// ?access_token=. The first of these that is there counts. EDGE_AUTH=jwt takes
// the claim sub as the client's identity and ends the connection at exp. Where tokens
// cannot be checked now, the answer is 503 instead of 4401.
// EDGE_AUTH=service asks the service for [POST]/v1/auth, with the body
// {"token","ip","origin","url"}. Of the answer, the body of a UMF message counts,
// or the result of {"statusCode":200,"result":…}. It lets the client in if its
// identity is text that a header can carry unchanged, or anonymous is true; and if
// nothing says no: no member error, no message of type error, no header
// Nats-Service-Error, no statusCode or status that is not a number from 200 to 299,
// no exp (in seconds) that is past. Everything else is a no: 4401. Where there is no
// answer, or one with a status of 429 or 5xx, the client is asked to come back: 1013.
// No client can send to that service.
//
// The first message to a client has the type connection:
//
//	{"to":"ID@client:/","frm":"R@hydra-router:/","mid":…,"ts":…,
//	 "typ":"connection","ver":"UMF/1.4.6","bdy":{"id":"ID","ip":"192.0.2.7",…}}
//
// What the client may then send is for its rules to say (package policy): those in
// the claim umf of its token, in the member umf of the service's answer, or in
// EDGE_POLICY, the first of these that is there. Where they are no rule set the
// client is turned away.
//
// Its body has
//
//	id, ip          the session, and the client's address
//	authResponse    the answer to EDGE_AUTH=service
//	token           the session's resume secret, told once
//	caps            what this node can: resume, ack and, for the second edition, accepted and, where
//	                clients bring tokens, auth
//	ttl, hb         seconds for which the session outlives its socket; of silence before a ping
//	win             messages of a client of umf.ack.v1 that may be unconfirmed
//	resumed, why    where the client has asked for a session, see Resuming
//	now, user, exp  the node's clock, the client's identity if it has one, and when its token ends if it
//	                does (milliseconds of Unix time); only for the second edition
//
// What the node itself sends comes from R@hydra-router:/, where R is the node's
// id and hydra-router is EDGE_SERVICE_NAME, and has its keys in the order to,
// frm, hdr, mid, rmid, ts, typ, ver, bdy.
//
// # What a client sends
//
// A message has a to, a from and a body, none of which is falsy, as JavaScript
// calls it: a body of {}, text, 42, true or an array is taken and stays as it is.
// A mid or a from of great length is refused, and so is a key that is one of UMF but
// for case, since receivers that ignore case would take it for that one. Where mid, ts or ver are missing
// the node fills them in, and it sets via. All other fields go on as they are.
//
// To a service, which gets the message at most once:
//
//	svc:/path            one instance, with the via R-ID@hydra-router:/. Answers and pushes to that
//	                     address reach the session; an answer has the mid of its question as rmid.
//	S@svc:/path          the instance S, in the same way
//	svc:[GET]/path       a request with one answer, which comes back with to and from exchanged, its rmid,
//	                     and of what the service said the part that [AnswerBody] takes. No instance:
//	                     {"reason":"Unavailable svc instances","code":"no_instances"}. No answer in
//	                     EDGE_REQUEST_TIMEOUT: the body of an error with the code timeout.
//
// To another session, into its mailbox, where the message waits in order until
// the session's client has it:
//
//	ID@client:/          it arrives with the via R@hydra-router:/
//	R-ID@hydra-router:/  the same; R need not be the node that holds the session
//
// The from of a message is what its sender wrote. Who it was stands in the headers
// (hdr) of what comes from a client: x-from is its session, x-user its identity, if it
// has one. What comes from a service has them only if the service wrote them.
//
// Some things are not a sender's to write. A from with the router's name in it, in
// whatever form, is refused: what is from hydra-router:/ is the node's own. The headers
// x-from, x-user, x-seq and x-prev, in whatever case, are taken out; where messages
// must be signed, and so go on as they are, the message is refused.
//
// To the router, hydra-router:/, by type:
//
//	ping          a pong: to is the ping's from, no frm, its rmid, and the body {"typ":"pong"}
//	log           no answer; the node keeps the last ones for administrators
//	wsdir.loc     with {"clientID":"ID"}: to is the question's from, rmid, and the body
//	              {"routerID":"R","clientID":"ID"}. R is the node that holds the session's socket, "" if
//	              none does.
//	reconnect     see Resuming; reconnection is the same
//	ack           see Confirming
//	auth          see A new token
//	other types   with a forward (fwd), the message goes on to that address, under the rules for it, and
//	              keeps its fwd. Without one: error unrecognized, close.
//
// To hydra-router:/queue with the forward svc:/, work for the service: it is
// stored, and one instance gets it, now or when one runs. Of a service that has
// registered no work queue it is refused, with no_queue.
//
// To hydra-router:[GET]/v1/router/… (any method), the router API, with the data as
// the body and an rmid: version, health, stats, list/nodes, list/services,
// list/routes. With the bearer token of administrators in aut, also list/wsdir,
// log, refresh, refresh/<service> and clear. Every other path, those that a
// client may not use among them: error not_routable.
//
// # Accepted
//
// A client of the second edition that writes true as hdr.x-ack is told when its message
// has been taken, by a message of type accepted with its rmid and the body {}; or by an
// error, why it was not. One of the two comes, unless the connection is lost.
//
// What is for a session or a work queue has been stored then, as it is where the same
// message was taken before. What is for a service NATS has: that an instance
// listened, and not that it has the message. Where that cannot be found out
// the error has the code timeout. A [METHOD] request has its answer instead, and what is
// for the router itself what comes of it.
//
// # A new token
//
// With EDGE_AUTH=jwt or service a client of the second edition may replace its token
// before that ends: by a message of type auth to the router, with {"token":…} as its
// body. The answer is of type accepted; {"exp":…} in its body says when the new one
// ends. From then on the rules hold that came with it. Messages behind it wait until it
// is known whose it is, which has to be the same user. Any other, and one that is not
// valid, closes the connection with 4401. Where it cannot be checked now the error
// unavailable, or overload, says so, and the former token holds. The service is told
// neither origin nor url.
//
// # Errors
//
// An error is a message to client:/ of type error, with the rmid of the message
// that it is about and the body {"error":text,"code":code}. A program looks at the
// code:
//
//	invalid_message    no UMF message; its text quotes the beginning (closes). Also a mid or a from that
//	                   is too long, and a key of UMF in another case, and these do not close
//	forbidden          not this sender's to say: a from with the router's name, a header of the node
//	unrecognized       nothing that the router knows (closes)
//	unsigned           EDGE_SIGNATURE=required: no signature (closes)
//	bad_signature      … a wrong one, one outside EDGE_SIGNATURE_WINDOW, a message seen before by any node,
//	                   or one of another connection (closes)
//	bad_address        to is no address, or forward leads back to the router; forward is none (closes)
//	not_routable       no route of the router API
//	no_instances       no instance of the service runs
//	no_queue           the service has registered no work queue: nothing is stored for it
//	unknown_session    no such session; as forward, an id that none could have closes
//	unavailable        NATS is away, or did not take the message
//	overload           too much is under way
//	timeout            no answer in time: it may have happened
//	too_large          NATS takes no message of that size
//	bad_resume         reconnect without an id (closes), or with a seq or an attempt that is none
//	bad_ack            ack of what was not sent, without a seq, or without umf.ack.v1
//	denied             the rules for this client do not allow it (package policy)
//	service            the service refuses, see below
//
// Where an error closes the connection, the close frame follows it with 1008 and
// the code as its reason.
//
// Clients that offered umf.v1 or umf.ack.v1 get the first two kinds of missing
// answers to a request, no_instances and timeout, as such errors too, with the to,
// from and rmid of an answer; and with overload and unavailable, in bdy.retry, the
// milliseconds after which they may try again.
//
// A service of NATS' own framework refuses a request in headers. Its text, its code
// and a status become the body {"error":text,"code":code,"status":404} of an error;
// clients of the first edition get an answer with {"reason":text,…}. Where the
// service has no code it is service, and no status of HTTP, 502.
//
// Signed messages: package umf, section Signatures, has the text that is signed. With
// the second edition the from of a signed message must name the session of its
// connection, ID@client:/, so that a copy of the message is worthless on any other.
// Others may sign any from that names no session; what names another one is a copy.
// A signature is checked as the message came in, before the node changes
// anything. Where one is required, what it does not cover does not go on, nor does
// it itself: receivers could send the message again.
//
// # Resuming
//
// A session outlives its socket by ttl seconds. A client goes back to it with a
// message of type reconnect to the router, with these members in its body:
//
//	id       the session
//	token    its resume secret. Without it no session of the second edition is given, nor to a
//	         connection of that, nor one for which it has once been shown, and with EDGE_RESUME=token
//	         none; where it is not needed but there, it must be right
//	seq      with umf.ack.v1: the last one that the client has handled
//	attempt  a number that grows with each connection that the client opens for the session. With it
//	         the newest connection always wins, however late an older one's request arrives
//
// The identity must be the one that the session was made with. The answer is a
// message of type connection, in whose body
//
//	"resumed":true,"why":null         the connection has the session. What has waited follows, in order
//	"resumed":false,"why":"expired"   there is no such session any more
//	"resumed":false,"why":"token"     the token is missing or wrong
//	"resumed":false,"why":"identity"  the session has another identity
//	"resumed":false,"why":"live"      without the token: the session has a connection that lives
//
// With the token the session comes at once, from whatever connection has it. Who shows
// nothing but the id gets it if it has no connection, or if nothing has come over that
// for two seconds: the node there asks with a Ping. A client that could not be sent yet
// what lies before the Ping lives, until EDGE_WRITE_TIMEOUT.
//
// If it is not resumed, the client keeps the session that it was connected with.
//
// A client that offers umf.v1 or umf.ack.v1 can ask with the handshake instead, and saves
// a round trip and a session that is made to be thrown away. It offers, beside that,
//
//	umf.resume.<id>.<token>.<attempt>
//	umf.resume.<id>.<token>.<attempt>.<seq>
//
// with the members above; the token is not left out here, nor signed where messages are.
// No session is opened, and the first message is the connection with resumed and why: of
// the session, or else of a fresh one, with its own token. An offer of another form, or
// two of them, is 400. A node that does not know this one sends a connection without
// resumed, and is asked by reconnect.
// Too many failures, of one connection or of one address, close it with 1008.
//
// After a resume a plain client may get a message again, with the same mid. Its
// Pong confirms what came before the Ping (RFC 6455 §5.5.3), which WebSocket
// libraries send by themselves.
//
// # Confirming
//
// With the subprotocol umf.ack.v1 messages carry hdr.x-seq, and in hdr.x-prev
// the x-seq of the one before; both are decimal strings. A message of type ack
// to the router with {"seq":"412"} in its body confirms everything up to that
// one. With win messages unconfirmed the node waits.
//
// Messages that are lost are told in their place by a message of type gap, which
// is confirmed like others: {"from":"13","to":"31","why":…}, both ends included;
// why is overflow (EDGE_QUEUE_LIMIT), expired (a ttl) or rollback (of NATS, after
// which sequences begin again at smaller ones). Sequences are shared with other sessions,
// so that they give no number; where that is known it is there as lost.
//
// The same message again is a repetition for a minute: from the same session to the
// same session or work queue, with the same mid, to, type, forward and body, however
// they are spelt. It is taken and not stored. Another message may have that mid.
//
// # Closing
//
//	1001, 1012    the node stops, or the connection's age is up: come back, after the time in the
//	              reason, "retry after 1250 ms"
//	1002, 1007    RFC 6455 is violated
//	1008          an error that closes, too many failed resumes
//	1009          a message whose body is over EDGE_MAX_MESSAGE
//	1013          this node has no room, the session was not ready in time, who the client is could not be
//	              found out now, or another connection was faster with its reconnect: come back
//	4401          no token, or no longer a valid one
//	4408          too fast
//	4409          does not read
//	4501          another connection has the session
//
// After 4501 a client does not come back by itself.
//
// Where it is to come back, the reason ends in " retry=1250" for clients of the second
// edition: the milliseconds after which they may. What the connection layer closes by
// itself (1002, 1007, 1009, 4408 of one connection) has no such end.
//
// After 1001 and 1012, and where a node is short of memory, what the client sends until
// its own close frame is taken as before, and then its session is parked. It is not
// answered on that connection any more.
//
// # Other than in Hydra Router
//
// A program that knew Hydra Router finds these differences. Each is a promise of
// its documentation that it did not keep, or a fault.
//
//   - mid, ts, ver, priority, ttl, for, rmid and unknown keys pass through as sent,
//     where it rewrote or dropped them.
//   - No client or service speaks for the router, where any could write its messages.
//   - Errors have an rmid and a code. An instance that does not run, an address
//     without a colon or with a pattern in it, and a session that does not exist
//     are errors, where it was silent or picked a receiver.
//   - ID@client:/ reaches a session without a forward, and work reaches its service.
//   - What has waited comes in the order in which it was sent, where it came the
//     newest first.
//   - A session is given to another connection only under the rules of Resuming,
//     where any id was enough and ids could be guessed.
//   - A forward or a to that is no text, deeply nested arrays, and names like
//     constructor are errors of one client, where they ended the router.
//   - svc:[GET]/path is a request over NATS, where it was an HTTP call.
//   - refresh is answered, and list/wsdir is there for administrators.
//   - Clients reach the services, queues and sessions that their rules allow, and
//     never EDGE_AUTH_SERVICE.
//
// # Design
//
// Functions append to a slice that the caller has, so that a loop writes all its
// messages into one buffer. Rejected: structs with JSON tags for bodies.
// encoding/json reads ID for id, costs more than the rest of sending a message,
// and lets the order of keys depend on that of fields.
//
// Codes, closes and outcomes are enums, whose words are on the wire and in
// metrics: one set for both. Rejected: strings with a list beside them, in which
// a new one was easily forgotten.
package protocol
