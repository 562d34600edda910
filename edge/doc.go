// Package edge is a Hydrant node: it terminates WebSockets, holds the sessions
// of its sockets, and carries UMF messages between them and NATS.
//
//	cfg, err := edge.LoadConfig()
//	node, err := edge.New(cfg, natsConfig, edge.Options{})
//	err = node.Run(ctx) // until ctx ends; then it drains
//
// # How a message travels
//
// A frame is read by the connection layer (package wire) on the event loop of
// its socket. The loop scans the envelope, checks signature and address, and
// puts one operation into its outbox. A goroutine per loop performs these
// operations on the NATS connection, in order.
//
// What is for a client lies in its mailbox, a subject of a JetStream stream.
// The stream republishes it; the copy arrives on a channel of the loop that
// holds the session's socket, and the session machine (package session)
// decides whether it is the next one, a repeat, or the proof of a hole.
//
//	        loop (one per core)                         goroutines
//	┌──────────────────────────────────────┐   ┌────────────────────────────┐
//	│ wire.Conn → client → attachment      │──▶│ outbox: publish, subscribe │──▶ NATS
//	│             route     session.Session│◀──│ bridge: live copies        │◀──
//	│                                      │◀─▶│ pool: directory, mailbox   │◀─▶
//	└──────────────────────────────────────┘   └────────────────────────────┘
//
// # Clients
//
// What clients send and get, with all codes of errors and closes, is in the
// documentation of package protocol (go doc ./edge/internal/protocol).
//
// # Who owns what
//
// A worker, its clients and attachments belong to one loop; nothing of them is
// locked. Other goroutines reach them by posting a function to the loop. A
// client is a socket; an attachment is a session that a socket holds. They part
// when the socket is gone (the session is parked), when another socket takes
// the session (released), or when the directory names another owner (lost).
//
// # Ownership of a session
//
// The directory entry of a session holds a random fence, new for each
// attachment, and every write compares the entry's revision. A write that
// fails is followed by a read: with our fence in it, an acknowledgement was
// lost and the write is repeated; with another, the session is somebody
// else's, and its socket is closed with 4501; with no entry at all, it is
// nobody's, and the client is to come back (1012). Until the answer nothing of
// the mailbox is written. The same read is made for every session after a new
// connection to NATS, and after the process did not run for a while (SIGSTOP, a
// suspended machine): a session can have moved in one second. In the latter case
// nothing at all leaves before the answer, since what was queued may be another
// node's to send by then.
//
// A node that wants a session which is live elsewhere sends a request to
// umf.v1.node.<that node>, which says
//
//	{"do":"release","sid":"…","fence":"…"}    the fence that it has read in the entry
//	{"found":true,"floor":…,"seen":…}         how far delivery got
//
// and then compares and swaps the entry. No answer in a second, or "found":false,
// means that the entry's own positions have to do. Each loop subscribes to the
// node's subject with the channel that live copies come on as well, so that what
// was stored after the session has gone elsewhere is behind the request. Not so
// in a cluster whose servers stand still for a while: request and copies come
// over different routes. But whoever takes a session attaches, so that his marker
// comes before all that is stored from then on. A marker that is not this loop's
// stops the writing until the directory has told whose the session is. A claim
// that no loop holds yet can be asked for like a session (claims), and an answer
// is kept for some seconds, since it may be lost (givenAway).
//
// A node that is asked to release a session stops writing at once. To an old
// client that has not confirmed everything it sends a last barrier, and answers
// when the pong is back, or after 150 ms: without it, what such a client has
// read a moment ago would come again on its new socket. A close frame follows a
// barrier for the same reason.
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
// delivered without one.
//
// A client's own hdr.traceparent becomes a link of the frame's span, and is
// never its parent: anybody who can connect could otherwise have everything
// sampled, or write into a trace of somebody else. That of the upgrade request
// is ignored, since it is about the connection and not about what is sent over
// it hours later. No span has a session's id, which is enough to resume some.
//
// # Design
//
// Loops never call nats.go. It holds its lock while it writes to its socket, so
// that a server that stopped reading would stop the loop and all its clients.
// The outbox costs one copy and one wake-up for each iteration of a loop.
// Rejected: publishing from the loop with a short write deadline, which turns a
// slow server into lost connections.
//
// For the same reason the binary writes its log on a goroutine, from a bounded
// queue. A pipe that nobody reads any more holds 64 KiB: some 300 refused tokens,
// after which every loop waited to tell of the next one.
//
// The welcome of a fresh session is sent when its first marker has come back
// and its directory entry is acknowledged. Earlier, a message that somebody
// sends to the new id could lie before the session's first floor, or find no
// such session.
//
// A reply subject ends in the mid of the message it belongs to. "No responders"
// arrives on that subject and carries nothing else of the message, so this is
// what makes an exact rmid possible without any table. Rejected: a queue of
// mids per session and service; when a service ends between two messages, the
// first one, which it took, would be reported as failed.
//
// # Leaving, ages, memory
//
// A node closes sockets on its own for three reasons, and parks their sessions
// each time, so that they go on wherever their clients come back.
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
// # Early messages
//
// While a session opens or moves, its connection is not read. What the client
// sends meanwhile so waits in TCP's buffers, in order and however much it is,
// and the answer of a service reaches the session that is then in place. A
// goodbye comes behind it. Rejected: a small queue of the client, which had to
// close those that sent more, and was dropped with a client that left at once.
package edge
