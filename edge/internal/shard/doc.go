// Package shard is what one event loop of a node owns: the clients of its sockets
// and the sessions that they hold. All of it is used on that loop, and nothing is
// locked.
//
//	wire.Handler ──▶ Handler ──▶ Client ──────────▶ route ──▶ Outbox ──▶ NATS
//	 (its loop)                    │ has, wants
//	                               ▼
//	NATS ──▶ live copies ──────▶ held ◀──▶ session.Session    what is delivered next
//	                               ◀──▶ ownership.Machine  whose the session is
//	                               │
//	                               ▼
//	                             Calls: directory, mailbox, other nodes
//
// # Which goroutine
//
// Methods of [Shard], [Client] and the held session run on the loop. [Handler] is
// called by the connection layer, on the loop of the connection. Every other
// goroutine has a [Door], whose Do runs a function on the loop; an answer of NATS
// or of the pool comes back the same way. A method that runs elsewhere says so.
//
// A loop never waits: what it asks of NATS goes into the outbox, what it has to
// wait for goes to the pool (package egress).
//
// # Clients and sessions
//
// A client is a socket; a held session is a session that a socket has or claims.
// They part when the socket is gone (the session is parked), when another socket
// takes the session (it is handed over), or when the directory names another
// holder (it is lost).
//
// Two pure machines decide about a held session, and it performs what they ask
// for: package session what is delivered and in which order, package ownership
// whose the session is. What can make the session machine write while the session
// is in doubt waits until the doubt has ended (held.whenServed).
//
// # Parked sessions
//
// A session that is parked with everything delivered is listened for on its
// subscription for a while (linger): what comes goes into a tail (package tail), and no
// further. So is one that is handed over with everything confirmed, until the next holder
// listens; of another the store has to be read anyway. The next holder asks for it when
// its own marker is back and shows that something is missing (inherit). The question goes
// to the node that the entry names; its answer comes among the live copies, so that no
// goroutine waits for it. A node that
// says nothing costs a tenth of a second, and then the store is read. So it is of what a
// slow client has not taken a second after it was welcomed.
//
// # A crowd
//
// Before a session that has returned reads its mailbox it asks the node's crowd (join),
// which may have it, or be about to read it for many sessions (package crowd). It is
// given all up to its own marker at once, or nothing; what does not fit into the socket
// then it reads by itself. A message of which the clock of the store does not say whether
// its time is over has the session read.
//
// # Logs that went back
//
// A shard notes the last message that it saw of each partition, by sessions that know the
// log. After a reconnect to NATS the node asks for these (Logs), and notes in the directory
// which streams have gone back, once for all nodes.
// A claim that would begin at a position of which nobody knows the time, since only the
// client knows it or a gap ended there, waits for that, and for the note, if the entry's
// is older than the connection. Where the stream has gone back since the entry was written,
// what the client names is of the log that was, unless the message that is there was stored
// before those that are known to be gone. If NATS is lost before the session has found the
// position in its mailbox, it is asked once more, and another note than before says that the
// log went back meanwhile.
//
// The revision of an entry that was written while the log could have gone back since the
// session came here says nothing, so such an entry says that (Unsure) and the revision of
// the last one of which that is not so (Sure), since when notes count. A node that was
// started since knows of a log that went back only by the note of another one; where none
// has seen what was there and lives, nobody knows.
//
// # Design
//
// Each loop subscribes to the node's own subject with the channel that live copies
// come on as well, so that what was stored after a session has gone elsewhere is
// behind the request for it. Not so in a cluster whose servers stand still for a
// while, where request and copies come over different routes: there the marker of
// the new holder tells, which comes before all that is stored from then on.
//
// A session is listened for with a wildcard, for what its mailbox stored and what is pushed
// past it. A NATS server looks for a new wildcard in all subjects that it remembers, which
// is a sixth of what a resume costs it (13 of 75 µs). Rejected: two subscriptions without
// one, which take 0.37 KiB more of the node and 1 KiB of the server for each session, also
// of those that do nothing.
//
// To an old client that has not confirmed everything a last barrier is sent before
// a session is handed over or its socket is closed: without it, what such a client
// has read a moment ago would come again on its new socket.
//
// While a session opens or moves, its connection is not read. What the client
// sends meanwhile so waits in TCP's buffers, in order and however much it is, and
// the answer of a service reaches the session that is then in place. A goodbye
// comes behind it. Rejected: a small queue of the client, which had to close those
// that sent more, and was dropped with a client that left at once.
//
// The welcome of a fresh session is sent when its first marker has come back and
// its directory entry is acknowledged. Earlier, a message to the new id could lie
// before the session's first position, or find no such session.
//
// A reply subject ends in the mid of the message it belongs to. "No responders"
// arrives on that subject and carries nothing else of the message, so this is what
// makes an exact rmid possible without any table. Rejected: a queue of mids per
// session and service; when a service ends between two messages, the first one,
// which it took, would be reported as failed.
//
// Counting a message is an addition to a number of the loop's own (stats.Tally),
// which a scrape adds up. Rejected: Prometheus' instruments for what happens with
// each message. All loops would write the same cache lines.
package shard
