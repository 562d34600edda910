// Package jet is JetStream as Hydrant asks it: windows of acknowledgements,
// requests to the API, answers of many messages, repetition, and what the errors
// of all of them mean. The store of nodes and the kit of services share it, and
// nothing else.
//
// What an error means for the caller is decided here, once: [ErrUnconfirmed] and
// its like wrap whatever NATS reported. A publish that [Acks] accepts is completed
// exactly once: by the answer, by the timeout, by the loss of the connection, or by
// Close. Nothing here waits for a server, except for its socket: see BlockTimeout
// in package bus.
//
// # Design
//
// nats.go's asynchronous publisher is not used: it waits for room in its window
// instead of refusing, reports through one callback for all publishes of a
// connection, and makes a goroutine or a channel for what here is one entry in a
// list.
//
// nats.go's jetstream package creates streams and consumes work queues, and does
// nothing else: it has no direct gets of many messages, and reads from whichever
// replica answers, where only a stream's leader proves a message's absence.
//
// All reads share one subscription ([Replies]). Rejected: one for each read. It
// changes the routing tables of the whole cluster twice for each batch.
//
// A message id names receiver, sender and mid, since streams deduplicate over all
// their subjects. A bare mid would let one sender suppress another's message, or
// the second of two messages to different sessions. Ids are remembered for a
// minute, in the servers' memory. A server that has started anew knows those of
// messages that it still holds, so a repetition of one that the mailbox has
// dropped meanwhile is stored again, with another sequence.
package jet
