// Package integration holds the tests that see Hydrant from outside: real
// processes, real sockets, a stock NATS server. Two things say what must happen:
// the protocol of Hydra Router's clients, which "Hydra" in a comment stands for,
// and FAULTS.md, the table of faults and abuse, whose rows (R…, P…, S…) the
// comments name.
//
// # Where things are
//
//	FAULTS.md       what may go wrong, what must come of it, and which test shows it
//	harness/        processes, clients, faults: what every suite here stands on
//	harness/world/  the scene of a test: servers, nodes, services, clients
//	chaos/          a seeded schedule of faults, and the checker of what came of it
//	bench/          measurements
//	deploy/         the files of deploy/ with the programs that read them
//	e2e/            clients and services in Node (tag e2e)
//
// In this package: messages (connect, route, forward, request, router, http, post,
// invalid, signature, auth, access), sessions (queue, resume, takeover, acked,
// behind), faults (crash, node, cluster, outage, disk, drain, memory, faults), the
// command line (cli, log, doctor, settings), and the rules of the whole module:
// imports (deps), libraries (versions), the table of faults (faults_table).
//
// # Invariants
//
// Whatever fails, Hydrant keeps to these. Package chaos/check judges a run by
// them; the tests here show them one at a time.
//
//   - I1: nothing that was accepted is lost silently. A message is accepted when
//     the store has acknowledged it, or, for a client's message, when no error came
//     in the time that a node waits for that. Each such message reaches its
//     session, or a gap stands in its place, or its time to live is over. A client
//     that does not confirm is told of no gap: it can lose only what its mailbox
//     had no room for, what expired, and what an older copy of the store lacks.
//   - I2: a session gets messages for the first time in the order in which they
//     were stored. Only repeats may come behind younger ones.
//   - I3: to a client that confirms, each message names its own sequence and that
//     of the message before it (x-seq, x-prev). Where that is not the last one it
//     got, a gap message came between, with the reason.
//   - I4: what comes again has the same mid and the same sequence, and comes only
//     after a resume. A client that said what it has gets none of that again.
//   - I5: one owner. From the moment at which another node, or another socket, has
//     taken a session over, the one before writes nothing of it, however late it
//     hears of that.
//   - I6: memory, goroutines, descriptors and queues stay within what the
//     configuration allows, whoever sends how much.
//   - I7: whoever a fault or an attack does not concern notices nothing of it:
//     their connections stay, and their messages flow.
//   - I8: no session gets a message that was meant for another one.
//   - L (liveness): when the fault is over, everything drains: all that waits is
//     delivered, every node is ready, every process ends when it is told to.
//
// I1 to I5 and I8 must hold at every moment, L only in the end; "in the end" is
// not a time but a last message to each session, behind which nothing waits.
//
// # Design
//
// Most tests share two nodes, the echo service and one NATS server: they use
// sessions and service names of their own, so they run in parallel and also
// disturb each other, which is a test, too. A watcher on ">" looks at every
// message of the whole run; what it finds outside the scheme fails the run at
// its end. A test that needs a node with other settings, or that harms a node
// or NATS, starts its own.
//
// "Nothing arrived" is never a timeout. A pong fences what the node itself
// sends; a later message in the same mailbox fences the mailbox.
package integration
