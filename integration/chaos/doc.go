// Package chaos runs a whole Hydrant under faults: some nodes, one NATS server
// or three, clients of both classes, and publishers of every kind, while a
// seeded schedule kills, freezes and cuts what it can reach. What happened goes
// to a history (package history); package check judges it. The run itself
// judges nothing: a message that does not come is only written down.
//
// A short run is part of `go test ./...`. Longer ones:
//
//	go test ./integration/chaos -duration 60s -seed 7 -nats 3
//	go run ./integration/chaos/cmd/chaos -duration 60s -seeds 10 -nats 3
//	go run ./integration/chaos/cmd/chaos -check history.jsonl
//
// # The parts
//
//	        client ── proxy ──┐
//	client (both classes)     ├─ node 1 ── proxy ──┐
//	        client ── proxy ──┘  (2, 3 …)          ├─ NATS (1 or 3)
//	publishers, answering service ─────────────────┘
//
// Node 0 is never harmed, and neither are the sockets of the calm clients on
// it: they must stay connected whatever happens elsewhere, also while NATS is
// away (I7). Every other client is moved, reset, stopped, made to flap, and made
// to ask for its session on two nodes at the same moment. Nodes are killed,
// frozen and told to end; NATS servers are killed (also the one that leads a
// stream), frozen one by one and all together, and their leaders step down; the
// network on both sides of a node is cut, slowed and made to swallow everything.
// Each kind happens at least once, if the node or server that it would hit has
// no other fault just then.
//
// Half of all messages go to a few clients, so that their queues grow while they
// are away. Messages come from clients on any node, from a service of the kit
// (answers, pushes, pushes without waiting), from a bare NATS client that waits
// for the store, and from one that only responds.
//
// # The end
//
// When the time is over, every fault is undone, and each session is sent a last
// message. Since a mailbox is delivered in order, a client that has got it has
// got everything that was stored before: no timeout decides that something is
// lost. Then the mailboxes are read with a bare NATS client, so that the
// checker knows the order in which they were stored, also of messages whose
// sender was never told.
//
// # Design
//
// One process drives all clients, so that the history has one order and no
// clock is compared with another. The choices (which fault, when, whom) come
// from the seed; what the processes make of them does not, so a seed repeats a
// schedule and not a run.
//
// What a message carries in its body is whom it is for and its mid, by which
// the checker knows a message that came to the wrong session (I8).
package chaos
