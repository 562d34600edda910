// Package egress carries what an event loop asks of NATS to where it can be
// waited for. A loop must never call nats.go: it holds its lock while it writes
// to its socket, so that a server that has stopped reading would stop the loop
// and all its clients.
//
// An [Outbox] performs the operations of one loop, in order, on one goroutine.
// A [Pool] runs calls that wait for an answer. Both are bounded; what does not fit
// is refused at once.
//
// # Design
//
// The outbox costs one copy and one wake-up for each iteration of a loop.
// Rejected: publishing from the loop with a short write deadline, which turns a
// slow server into lost connections.
package egress
