// Package tail keeps what comes for a session that has no socket, so that the node
// that it goes to need not read it from the store.
//
// The node that parks a session, or hands it over, goes on listening to its mailbox for a
// while. What the store copies to it is kept as it came: a [Tail]. The next node asks for
// it and gets [Part] after Part, which it checks link by link (package session): each copy
// names the one before it, as the store wrote it down. So it does not matter who kept them,
// and for how long; where a link is missing the store is read from there on.
//
// A Tail is of the log that its node's connection to NATS has shown it. The owner drops
// it whole when that may have gone back: when the connection is lost, when the stream
// has a new leader, and when a copy comes at or below the tail's end ([Back]).
//
// A [Budget] bounds what all tails of a node take, and finds the loop that has one.
//
// # Design
//
// Copies are kept packed, as they will be sent: one buffer for a session, which the
// garbage collector need not look into, and a hand-over is a copy of bytes. Of markers
// there is only the place, and so of messages whose time to live is over when they are
// handed over. Times to live are measured with the clock of the node that keeps them.
//
// Rejected: to keep a tail for messages that were written to a client and not
// confirmed. They are few, the store has them, and the live path would have to copy
// each message.
package tail
