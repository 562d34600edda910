// Package chaos runs a whole Hydrant under faults: some nodes, one NATS server
// or three, clients of three classes, and publishers of every kind, while a
// seeded schedule kills, freezes and cuts what it can reach. What happened goes
// to a history (package history); package check judges it. The run itself
// judges nothing: a message that does not come is only written down.
//
// A short run is part of `go test ./...`. Longer ones, and all that need a network:
//
//	go test ./integration/chaos -duration 60s -seed 7 -nats 3
//	go run ./integration/chaos/cmd/chaos -duration 60s -seeds 10 -nats 3
//	go run ./integration/chaos/cmd/chaos -duration 60s -seeds 20 -tails short
//	go run ./integration/chaos/cmd/chaos -scenario deposed-directory -times 20
//	go run ./integration/chaos/cmd/chaos -recovery -into deploy/README.md
//	go run ./integration/chaos/cmd/chaos -check history.jsonl
//	go run ./integration/chaos/cmd/reverts
//
// # The parts
//
//	        client ── proxy ──┐
//	client (each class)       ├─ node 1 ── proxy ──┐
//	        client ── proxy ──┘  (2, 3 …)          ├─ NATS (1 or 3)
//	publishers, answering service ─────────────────┘
//
// On loopback, that is. Where the process may, the command gives itself namespaces
// of its own (harness.Isolate), and each node and each server gets one more, joined
// by a bridge: nothing then stands between nodes and servers but a network that
// drops what it is told to drop, each way by itself (harness.Link). It all ends with
// the process. In such a run the servers also have a password, and a small disk each.
//
// Node 0 is never harmed, and neither are the sockets of the calm clients on
// it: they must stay connected whatever happens elsewhere, also while NATS is
// away (I7). Every other client is moved, reset, stopped, made to flap, made to ask
// for its session on two nodes at the same moment, and made to ask where it then
// gives up, so that its request arrives when it is elsewhere. Nodes are killed,
// frozen and told to end; NATS servers are killed (also the one that leads a
// stream), frozen one by one and all together, and their leaders step down; the
// network on both sides of a node is cut, slowed and made to swallow everything.
// Each kind happens at least once, if the node or server that it would hit has
// no other fault just then.
//
// With a network there are outages beside these, one at a time, in an order that goes
// on from seed to seed: the leader of the directory, or of a mailbox stream, is cut
// off from its peers while clients begin elsewhere and then come to the nodes beside
// it; or clients hear it and its peers do not, which have another one while it still
// answers as the leader; a server is in a minority; packets go one way only, between
// servers, a node and its server, clients and a node; the peers of the directory's leader stand still, so
// that its writes stay in flight; all stores are replaced by copies of before; the
// password changes; a disk is full; the clock of a node jumps by an hour. With -sync
// the servers sync every write.
//
// Half of all messages go to a few clients, so that their queues grow while they
// are away. Messages come from clients on any node, from a service of the kit
// (answers, pushes, pushes without waiting), from a bare NATS client that waits
// for the store, and from one that only responds.
//
// Clients that confirm number their sockets when they ask for their session; old ones
// do not.
//
// # Managed clients
//
// A third of the clients are plain, a third confirm (acked), and a third are managed:
// programs that use edge/client. The first two are sockets, so that they can do what only
// a socket can: ask on two nodes at the same moment, ask late, open one socket to use it
// later, and take over a session without knowing what the old socket had.
//
// A managed client is given the addresses of all nodes and finds its way by itself. It
// is reset, stopped and paused below edge/client, by the connections that it makes (tap), or
// does not receive for a while, and is done with what it got late and the last first. Where
// it is to go to one node, the network leads it to no other until it has found that one.
// Its program also ends, with a goodbye, or killed, or while its connection lives, and
// another one goes on with the session that this one kept.
//
// The checker judges what the program is given and told: each message once, in order, none
// lost, gaps only where messages were dropped or the store went back, and one true outcome
// of each message that it sent and of each request. Beside that the tap reads the frames
// that come, so that what nodes promise is judged for a resume in the handshake, too: the
// chain, and that nothing comes again that the client has said it has.
//
// # Faults that bite
//
// Each fault says by what one sees that it had its effect: another leader, packets
// that were dropped, a sequence that went back, a request that arrived after its
// client had its session elsewhere. It waits for that as long as it has to. A run in
// which a fault had none has failed, whatever else came of it.
//
// # Scenarios
//
// A scenario is a run with one chain of events instead of faults at random, judged in
// the same way. A recovery (-recovery) is a run with one fault, in which it is measured
// how long it takes until a message comes that was sent to every session when NATS
// could store again.
//
// # Upgrades
//
// With the build tag rolling, nodes of two versions serve beside each other, and are
// replaced one by one while sessions go between them. The later version is this tree
// with changes: whatever nodes tell one another has more in it, and has higher numbers.
//
// # Reverts
//
// A run in which nothing is found proves something only if it would have been. So
// reverts takes mends out of Hydrant, one after another, and has chaos look for each.
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
//
// Some clients open a socket before a split and ask over it only later. While a
// server has no quorum, its nodes can store no new session and so welcome nobody, and
// the moment after a split, in which they can and the old leader does not know of its
// fall, is too short to be met by chance.
//
// A packet is dropped where it arrives, by nftables. A blackhole route at the sender
// would fail its system calls, which no lost packet does.
//
// The clock of a node is another package time, compiled in (harness.BuildWithClock).
// libfaketime was tried: a Go program asks the kernel and not libc, and goes on with
// the machine's clock. Time namespaces shift no clock that can be set. The clocks of
// the servers stay: an hour more there ends sessions rightly.
//
// After a full disk the server is started anew in an orderly way: nats-server 2.15
// gives up a stream whose file it could not write, and killed at that moment it may
// crash over its own file at the next start (a nil pointer in newFileStore), for which
// there is nothing to be learnt here. Where it has peers it then gets an empty store.
package chaos
