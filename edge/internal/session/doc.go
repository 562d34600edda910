// Package session decides what a node does for one session's mailbox: what is
// written to the client and when, what is read from the store, what counts as
// delivered. It is a pure state machine: events in, effects out; no clock, no
// goroutine, no I/O. Package edge performs the effects; package bus documents
// the store that they act upon.
//
// # The task
//
// A mailbox is one subject of a stream. Its messages have ascending, but not
// consecutive, sequences: the stream holds other mailboxes as well. The session
// writes them to one client in that order, each of them once as long as the
// socket lives, and can say at any moment up to where the client has them. Two
// sources feed it, and neither is enough alone:
//
//   - Live copies ([Session.Live]): every stored message is published again with
//     its own sequence and that of the mailbox's message before it (prev). They
//     are fast and may be lost, repeated, or come before a subscription is in
//     force.
//   - Reads ([Effects.Read], [Session.Batch]): the store itself. Complete, but
//     expensive, and answered by a replica that may lag.
//
// # States
//
//	       Attach             marker back              nothing missing
//	Idle ─────────▶ Attaching ───────────▶ Behind ─────────────────────▶ Live
//	                    ▲                     │  ▲                         │
//	                    └─────────────────────┴──┼─────────────────────────┤
//	                      Reattach, a doubt      └─────────────────────────┘
//	                      about the log              a hole, a full socket
//
// Stop ends each of them, at once or after Releasing: the session goes to another
// socket, or the socket is being closed, and a plain client has not confirmed
// everything. Then nothing more is written, but a last barrier (see Delivered),
// whose pong still counts: without it, what the client has read a moment ago
// would come again. The owner bounds the wait.
//
// There is one way from Attaching to Live, whatever the
// cause: a new session, a resume, a NATS reconnect, another stream leader, a
// process that did not run for a while.
//
// # Positions
//
// All of them are stream sequences.
//
//   - cursor: everything up to here was written, told as a gap, or was nothing
//     for the client (a marker). The next copy must have prev ≤ cursor.
//   - written: the last message or gap that went to the socket.
//   - floor ≤ written: the last one that the client is known to have. This is
//     what the directory stores, and where a resume begins.
//   - anchor ≤ cursor: the newest message that has no time to live of its own,
//     so that only an overflow, an expiry of the mailbox, or another log can
//     have removed it.
//   - safe: the newest message that can serve as an anchor and that the client
//     has. The directory stores it next to the floor (Seen), since the message
//     at the floor may have had a time to live.
//
// # Attach: is the subscription in force?
//
// A subscription takes effect on other servers of a cluster some time after it
// was made, and no answer says when. So the session sends a marker, an empty
// message, through the mailbox itself. When its copy is back, whatever the
// stream stores from now on will be copied to this node, and the copy's prev
// says where the mailbox stood. If prev ≤ cursor, the session is live without
// having read anything: the usual case. Otherwise everything from the cursor to
// prev has to be read. Copies that come meanwhile are held, a few of them; what
// does not fit is only remembered as a number (missed), since it is stored.
//
// The markers of a session's first attach stay in the mailbox: the first of them
// that was stored, which need not be the first that was sent, is the first floor
// and the first anchor. Others have a short time to live. A marker that
// does not come back is sent again, with growing pauses and without limit: as
// long as the store does not answer there is nothing else to do, and the
// socket stays.
//
// # Behind: reading up to the copies
//
// A read asks for what follows the cursor, and names a message to look for
// (the witness, below). The answer is taken up to the bounds of the client: an
// acked one's window, the socket's queue. Then either the next held copy
// follows the cursor (prev ≤ cursor), and copies are written, or there is more
// to read. An answer that ends before the known end came from a replica that
// lags, and is asked for again after a pause; only the leader's word that
// nothing follows ends the search.
//
// A client that does not read fills its socket's queue; then Write reports no
// room, nothing more is written until Writable, copies are dropped, and the
// session is behind. So a slow client costs a bounded number of bytes and no
// messages.
//
// # Delivered
//
// To be in the kernel's buffer is not to be delivered. A plain client is sent a
// Ping behind what was written, with the last sequence as its payload; the Pong
// proves that the client's end has read so far (RFC 6455 §5.5.3: in order). One
// such barrier is out at a time, and the next follows when something new was
// written. An acked client (umf.ack.v1) says itself what it has handled, and
// never has more than a window of messages before that.
//
// # Was anything dropped?
//
// A mailbox that is full drops its oldest messages, and neither a copy's prev
// nor a read shows it: the sequences of other mailboxes lie between anyway.
// What shows it is the order of dropping: as long as some older message of the
// mailbox is still there (the witness), nothing after it can have been dropped.
// So each read asks the leader for the anchor after its messages are in hand,
// and a live copy is taken without a question only if its prev is not older
// than the anchor. If the witness is gone, an older one is asked for where
// there is one; then the messages between are lost as far as anybody can know,
// and the client is told: a [Gap] in its place in the order for an acked client,
// a count and a log line for a plain one. A gap may name messages that never
// were (sequences of other mailboxes); it never leaves out one that was.
//
// Messages with a time to live may vanish at any time, so their absence proves
// nothing, and they are no anchors. What vanished between two messages that
// are there is not told: that is what the time to live was for.
//
// # Is it the same log?
//
// A store that was restored from a copy, or that lost its tail with a disk,
// gives old sequences to new messages. Left unnoticed, a session would take the
// new messages for ones that it has written long ago. Each of these shows it
// ([Rollback]):
//
//   - a marker comes back at or below a sequence that was seen before it was sent;
//   - the sequence of the anchor belongs to another mailbox, or lies beyond the
//     end of the stream, or was stored at another time than before;
//   - a message at or below the cursor is younger than all that was taken.
//
// Then the positions are void. The client is told, and reading begins at the
// start of the log that there is. Confirmations that were on their way belong
// to the old log: barriers carry an epoch, and an acked client's confirmations
// count only if they name a sequence exactly until it has confirmed the gap.
//
// # Races, and what closes them
//
//   - A message is stored between subscribing and the subscription's taking
//     effect: the marker is stored after it, so its prev reveals it.
//   - A copy overtakes the marker that was stored before it: the marker contradicts
//     what was seen, and another one is sent.
//   - A copy is lost on its way: the next one's prev is beyond the cursor. If
//     there is no next one (its leader died after storing, before publishing),
//     the owner's slow sweep compares the cursor with the store (Swept).
//   - Messages are dropped while a read is under way: the leader is asked for
//     the anchor after the read, never before.
//   - The answer of a read arrives after the session has begun to attach anew: it
//     is void; one read is outstanding at most, so answers cannot be confused.
//   - The socket dies after the client has read and before it has confirmed: the
//     floor is older than what the client has. A plain client gets those
//     messages again, with the same mid; an acked one names its own position
//     when it resumes, and gets none twice.
//   - A client resumes with a position that it never had: floor is then not
//     trusted (unsure) until the store shows a message of this mailbox there. A
//     position before the directory's floor replays; one in the future or in
//     another mailbox is told as a gap.
//   - The anchor expires while nothing comes that could replace it: Refresh
//     stores a marker without a time to live each quarter of the session's time
//     to live, and soon after a resume.
//   - Two owners: not decided here. The directory's revision fences writers, and
//     the owner calls Stop, after which no event has an effect.
//
// # Design
//
// Why markers and not a flush or a pause: a flush is answered by the server
// that the node is connected to, and says nothing of the stream's leader. After
// it, 18 of 100 subscriptions in a cluster missed a message that was stored
// right away; with a marker, none.
//
// Why not count messages to detect drops: a stream tells how many messages a
// subject has, but not how many it had, and expiries lower the number as well.
//
// Why one timer and one outstanding read: every combination of events then has
// few successors, which is what makes the model test (model_test.go) able to
// reach the odd ones. The model runs sessions of both classes against a
// simulated stream that loses, delays and repeats copies, lags, drops, expires,
// rolls back, and against clients that stop reading, die and resume, and checks
// what the clients have seen. testdata/transcripts holds the races above as
// scripts, to be read next to this text.
//
// Buffers come from pools and go back when they are empty: a live, quiet session
// owns nothing but its own struct.
package session
