// Package integration holds the tests that see Hydrant from outside: real
// processes, real sockets, a stock NATS server. What must happen is in the
// project's papers, the protocol of Hydra Router's clients and the table of
// faults and abuse; each test names its row (HYDRA for the first; R…, P…, S…
// for the second).
//
// # Where things are
//
//	harness/   processes, clients, faults: what every suite here stands on
//	chaos/     a seeded schedule of faults, and the checker of what came of it
//	bench/     measurements
//	e2e/       clients and services in Node (tag e2e)
//
// In this package: messages (connect, route, forward, request, router, http,
// invalid, signature, access, abuse), then sessions (queue, resume, takeover,
// acked, behind, storage), and the import rules of the whole module (deps).
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
