// Package client is a client of Hydrant for programs in Go. Its session outlives
// connections and nodes: it comes back by itself, goes on where it was, and shows
// nothing twice. What it says and hears is in PROTOCOL.md; hydrant.js beside it does the
// same in a browser, and both play the transcripts in vectors.
//
//	c, err := client.Dial(ctx, client.Options{URLs: []string{"ws://localhost:5353"}})
//	defer c.Close()
//	answer, err := c.Request(ctx, client.Message{To: "echo:/", Body: "hello"})
//	err = c.Send(ctx, client.Message{To: session + "@client:/", Body: answer.Body})
//	for {
//		d, err := c.Receive(ctx)
//		if err != nil {
//			return err
//		}
//		handle(d.Message)
//		d.Done()
//	}
//
// # Outcomes
//
// Each message that is handed over has one outcome, told once, by the return of Send or
// Request. Send returns nil when the message is stored, for a session or a queue, or when
// NATS has it and somebody listens, for a service. Request returns the answer. Else the
// error is the node's [Error] with its code, that of the context, [ErrUnknown], or one
// that says that nothing was written: [ErrFull], [ErrInvalid], [ErrDuplicate],
// [ErrClosed], and an [Error] with a code of 4401 or 45xx: the client has ended, and why.
//
// ErrUnknown: the connection was lost, or the context ended, after the message was
// written and before it was accepted. It may have arrived. Messages for sessions and
// queues are first written again, with the same mid, for 50 seconds, since a node knows
// them by it; where that is refused, what was written before may still have been stored.
// Requests are asked again, unless they say otherwise.
//
// While there is no connection messages wait, as many as [Options] allow. A context
// without an end then waits without one.
//
// # Deliveries
//
// [Client.Receive] returns what arrived, in order; [Delivery.Done] says that it was
// handled. What was not comes again to the next client of the session. A node sends some
// hundred messages ahead of Done, so a program that never calls it soon gets no more.
// Done may be called from anywhere and in any order; all up to the first delivery that is
// not done is confirmed, and so is a repeat behind it, which the program does not see: who
// waits until a number of deliveries is there, and is done with none before, may wait for
// ever.
//
// Where messages are lost (too many waited, or for longer than they were worth) a delivery
// has a [Gap] in their place.
//
// # Sessions
//
// A session that cannot be gone on with, because it was away for too long, is replaced by
// a fresh one. [Options.OnSession] tells. A program that keeps [Client.Session] goes on
// with it in its next process by [Options.Resume].
//
// # Design
//
// All state is under one lock; no lock is held while a socket is written to or a function
// of the program runs. One goroutine per client connects, reads, and waits until it
// connects again. Callers write by themselves while that cannot take long, since a
// goroutine that writes for them costs an eighth of a round trip; else there is one for as
// long as there is something to write, so that contexts end the wait of their calls and
// never a frame: a frame that is given up half-way costs the connection. Times are timers,
// which cost no goroutine.
//
// What arrives and has no sequence, which is an answer that was not stored, is dropped
// when [maxWaiting] deliveries wait: a program that only sends must not be held up by
// what it does not read. From nodes without sequences nothing is dropped; the client
// stops reading instead.
package client
