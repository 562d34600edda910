// Package bus is the kit for writing services behind Hydrant: connect to NATS,
// handle the messages of clients, answer them, and push to their sessions. It
// knows UMF messages (package umf) and nothing of WebSockets.
//
// A service needs [Connect], [NewService] and what hangs on [Service]; see the
// examples. The packages beside this one are for nodes, and for those who take
// part in the protocol by other means:
//
//	scheme      ids, subjects, headers, permissions: the protocol on NATS
//	store       mailboxes, the directory of sessions, work queues
//	discovery   which services and nodes are connected
//	tracectx    a trace in NATS headers
//	embedded    a NATS server inside the process
//
// A service in Node uses bus/js, which does the same. What clients and HTTP get of what a
// handler does is in testdata/answers.json; tests hold both kits to it.
//
// # Handlers
//
// A message that arrives waits in a bounded queue and then runs on one of a fixed
// number of goroutines. Messages of one session run one after the other, in
// order. A message that finds the queue full is refused at once: an error now
// tells its sender more than silence. NATS callbacks only enqueue.
//
// # Answers and pushes
//
// The plain Respond of any NATS library stores its answer in the session's
// mailbox, but unacknowledged: a stream that cannot keep up loses it silently. The
// kit therefore publishes answers and pushes to the mailbox itself, waits for the
// acknowledgement, and repeats under the same message id, so that they arrive
// once. [ErrUnconfirmed] is the error to think about: no answer came, and the
// message may be stored. [ErrRefused] and [ErrUnavailable] mean that it is not.
//
// Calls that wait for an answer take a context and are bounded without one as
// well. [Service.PushAsync] has a bounded window and waits for room in it; each
// push that it accepts is completed exactly once: by the answer, by its timeout,
// by the loss of the connection, or by Stop.
//
// # Traces
//
// A [Service] makes a span for each handler, reply and push, of the process'
// OpenTelemetry provider, within the trace that the message came with; the kit
// needs OpenTelemetry's API alone. Where there is no provider the trace passes
// through, from the message to its reply and to pushes in the handler's context.
// A message without a trace costs nothing.
//
// # Design
//
// Session ids are strings here, unlike in the other packages: a service keeps them
// in a database or gets them in a message. Push and its like check them.
//
// The kit asks for work itself. nats.go's Consume calls its heartbeat missing while a
// callback waits for a free handler, and then asks for more: with a heartbeat of
// seconds, which shows soon that a question has died with a leader, what was taken
// ahead grew without end. Its Fetch makes a subscription for each question, which a
// consumer on another server may not know of in time. The kit also
// counts the attempts at a message itself, since the server would leave one that
// has used them up in the queue for ever.
package bus
