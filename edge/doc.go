// Package edge is a Hydrant node: it terminates WebSockets, holds the sessions
// of its sockets, and carries UMF messages between them and NATS.
//
//	cfg, err := edge.LoadConfig()
//	node, err := edge.New(cfg, natsConfig, edge.Options{})
//	err = node.Run(ctx) // until ctx ends; then it drains
//
// What clients send and get is in the documentation of package protocol, what
// services see in that of package bus, and the subjects in that of bus/scheme.
//
// # The way of a frame to a service
//
//	socket ──▶ wire ─────────▶ shard ────────────▶ egress ──────────▶ NATS
//	           frame, checked   scan, signature,    one goroutine
//	           (RFC 6455)       address, via        per loop, in order
//	           └──────── event loop of the socket ─┘
//
// The connection layer (package wire) reads a frame on the event loop of its
// socket. The shard that owns the loop scans the envelope, checks signature and
// address, and puts one operation into its outbox. The outbox performs the
// operations of a loop on the NATS connection, in order.
//
// # The way of a stored message to a socket
//
//	NATS ──▶ copy of what the ──▶ shard ──▶ session ──▶ wire ──▶ socket
//	         mailbox stored       one       the next,   frames
//	         one channel a loop   loop      a repeat,
//	                                        a hole? ──▶ pool reads the mailbox
//
// What is for a client lies in its mailbox, a subject of a JetStream stream. The
// stream republishes it, and the copy comes to the loop that holds the session's
// socket. The session machine (package session) decides whether it is the next
// one, a repeat, or the proof of a hole, which is then read from the store.
//
// # A resume
//
// A client that comes back names its session. The ownership machine (package
// ownership) reads the directory entry, has the holder hand the session over, and
// swaps the entry; then the session machine goes on where delivery had got to.
// The former node takes part by package takeover. What came while nobody had the
// session it may have kept (package tail); the rest is read from the store, once for all
// where many come back at a time (package crowd).
//
// # Rooms
//
//	config     settings: read, check, describe
//	protocol   what a node says to clients and reads from them
//	access     who may connect, and who a client is
//	policy     what a client may send, and to whom: pure
//	stats      instruments, tallies, labels
//	wire       sockets, frames, event loops
//	session    what is delivered next: pure
//	ownership  who has a session: pure
//	takeover   how a node asks another for a session
//	tail       what is kept for parked sessions
//	crowd      what is read for many sessions together
//	egress     from a loop to NATS, without waiting
//	shard      what one loop owns: clients and held sessions
//	api        the router API and HTTP
//
// This package joins them: the node's life, its connection to NATS, readiness,
// drain, memory, and the fan-out of what comes from NATS to the shards. A shard
// belongs to its loop, and nothing of it is locked; this package has only a door
// to each (shard.Door), which runs a function on the loop.
//
// # Uplinks
//
// An uplink is a connection to NATS, with the store, the directory and the
// subscriptions that hang on it. nats.go reconnects by itself, without end, and makes
// the subscriptions again. But it gives a connection up for good when the server ends
// it with an error that nats.go does not know: a message over a max_payload that was
// lowered (a server tells its clients of that only with the next change of its
// cluster), a protocol line that is too long, whatever a newer server thinks of. Then
// the node makes another uplink and puts it in the place of the first:
//
//	dial ──▶ open the store ──▶ outboxes use it ──▶ its epoch shows ──▶ subscribe
//
// Until then it is not ready, and what clients send is refused. An epoch orders what
// comes: it counts uplinks, and reconnects within one. A shard that sees another
// uplink's epoch subscribes again for all its sessions, and then has each of them
// confirmed, as after a reconnect. Nothing holds on to an uplink for longer than a
// call: what shards ask for goes over the one of the moment (directory, mailboxes and
// peers), and a mailbox's reader goes on with another store's.
//
// Rejected: to end the process, which is simpler. One message over a limit that was
// lowered would end a node, with all its clients, and then the next one that they come
// back to.
//
// # Bulk
//
// Bodies over HTTP are hundreds of times as large as messages, and what is on one
// connection comes in order: in nats.go's buffer, on the way, in the server's queue for a
// client, and where it reads what a client sends. So there is a second connection for what
// HTTP asks services (bulk), both for questions and for their answers. It is made in the
// background when the first large question or answer has gone over the uplink, and kept: a
// node without large bodies has none. From then on all questions of HTTP go over it, since
// nobody knows how large an answer will be, and what posts send when it is large. Answers
// come to the subject of an id of its own, as those of another node would, because the
// uplink's subscription takes all that come to the node's; the permissions of nodes allow
// it.
//
// nats.go reconnects it by itself. Where it is not up, all goes over the uplink, and it
// keeps the node from nothing. The same holds for a question that nobody takes there: it
// is another connection, perhaps to a server that is cut off from its peers. A question that
// is on its way when the connection ends fails at once; one that has gone waits for its
// answer, which may come after a reconnect, until EDGE_REQUEST_TIMEOUT. A server that is
// silent is noticed within two pings.
//
// Rejected: to open it at the start, since most nodes see no large bodies, and each
// connection costs the server as much as a client; and a subject below the node's own, which
// services of older versions do not answer.
//
// # Acknowledgements
//
// A NATS server that is cut from its peers keeps its clients and answers their pings.
// What shows it is that nothing is acknowledged, which only a quorum can do. So a node
// stores a marker every two seconds, in a mailbox that nobody has: one message of some
// bytes, gone after a second. After three seconds of silence it is not ready. After
// eight, since a leader that died is replaced in less, it connects to the other
// servers, one after the other, until one acknowledges, and has nats.go reconnect to
// that one. Where none does, it stays: a new connection puts sessions in doubt, and
// with them the answers of services that need no store. The pause between two moves
// doubles, from ten seconds to a minute. A node that is beginning looks likewise, while
// it waits for the store.
//
// # Signs
//
// A NATS server says of a subject that nobody listens as far as it knows. Where the route
// to another server is cut, or not there yet, that may be said of a node that lives and
// reaches the store over a third server: it gets copies and writes to its clients. So in
// a cluster each node leaves a sign in the directory twice a second, and a claim that is
// told that nobody listens looks how old the last one is; the age is proved as an absence
// is. As long as signs go on that node counts as silent. One that died costs a second
// at the most, once for all claims.
//
// # Silence
//
// A connection that is silent, and then goes on before two pings were missed, brings
// all that lay in it. What was stored before another node took a session over still
// goes to the old socket then, in order and ahead of that node's marker, which ends
// it. A client that has resumed elsewhere has left that socket.
//
// Rejected: to look at what clients publish. A node without traffic would be ready
// until the next client came, and it must not wait for a welcome to find out.
//
// # Traces
//
// With a TracerProvider, each message of a client to a service, a session or a
// work queue begins a trace. "frame <kind>" lasts from the frame until NATS has
// the message: until it is written, for core NATS; until it is stored, for
// mailboxes and work; until the answer, for requests. "deliver <kind>" is the
// end of a trace that a message came with: handing it to a socket. The header
// traceparent joins the two with what services do in between (package bus), and
// is stored in the mailbox with the message. What came without a trace is
// delivered without one. Over HTTP the first span is "http request", of a request by
// path, or "http post".
//
// A client's own hdr.traceparent becomes a link of the frame's span, and is
// never its parent: every client could otherwise have everything sampled, or write
// into another's trace. That of the upgrade request is ignored, since it is about
// the connection and not about what is sent over it hours later. Spans,
// like logs, name a session by a hash of its id (scheme.SID.Short), since the id is
// enough to resume some.
//
// # Leaving, ages, memory
//
// A node closes sockets on its own for three reasons, and parks their sessions
// each time, so that they go on wherever their clients come back.
//
// What nats.go does is not waited for without end: it takes its lock to write, to
// dial and to look up names, and each of its calls waits for that lock whatever its
// context says.
//
// Drain: not ready at once, but new clients are served for EDGE_DRAIN_GRACE,
// since a balancer goes on sending them until its checks have failed. Then the
// listener closes, and each loop closes its clients one after the other, evenly
// over EDGE_DRAIN_TIMEOUT: what limits the pace is how fast the other nodes take
// them. With less than ten clients a second the time is shorter, so that Ctrl-C
// of a node with a few clients takes no half minute.
//
// Age: see EDGE_MAX_CONNECTION_AGE. The time of the end is four bytes of the
// client, drawn when it comes.
//
// Memory: what counts is what the heap holds alive, not what it has mapped: the
// collector lets garbage grow up to the limit. Rejected: the container's own
// figure, which counts the page cache of the embedded NATS' files.
//
// # Design
//
// The binary writes its log on a goroutine, from a bounded queue, because loops
// log. A pipe that is not read holds 64 KiB: some 300 refused tokens, after which
// every loop waited to tell of the next one.
package edge
