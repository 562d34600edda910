// Package session decides what a node does for one session's mailbox: what it
// writes to the client and when, what it reads from the store, and what counts
// as delivered.
//
// It is a pure state machine: events in, effects out; no clock, no goroutine, no
// I/O. The owner of a [Session] calls one method for each event, and performs
// the [Effects] that the session orders from within that call. All calls come
// from one goroutine.
//
// # The task
//
// A mailbox is one subject of a stream. Its messages have ascending sequences,
// with holes, since the stream holds other mailboxes as well. The session writes
// the messages to one client in that order, each of them once as long as the
// socket lives, and can say at any moment up to where the client has them. It
// has two sources, and neither is enough alone:
//
//   - Live copies ([Session.Live]): the stream publishes every message that it
//     stores once more, with the message's sequence and that of the mailbox's
//     message before it (prev). Copies are fast, but may be lost, repeated, or
//     come before a subscription is in force.
//   - Reads ([Effects.Read], [Session.Batch]): the store itself. Reads are
//     complete, but expensive, and the replica that answers may lag.
//
// # States
//
//	       Attach             marker back              nothing missing
//	Idle ─────────▶ Attaching ───────────▶ Behind ─────────────────────▶ Live
//	                    ▲                     │  ▲                         │
//	                    └─────────────────────┴──┼─────────────────────────┤
//	                 Disconnected, Reattach,     └─────────────────────────┘
//	                  a doubt about the log          a hole, a full socket
//
//	 Attaching, Behind, Live ──▶ Settling ──▶ Stopped        any ──▶ Stopped
//	                     Release           Stop                  Stop
//
// There is one way from Attaching to Live, whatever the cause: a new session, a
// resume, a reconnect to NATS, another leader of the stream, a process that was
// frozen.
//
// Settling is for a plain client that has not confirmed everything, when its
// socket is being closed or the session goes to another socket. The session
// writes nothing more but a last barrier (see Delivered), whose pong still
// counts: without it, the client would get again what it has read a moment ago.
// The owner bounds the wait.
//
// The read of the store has a state of its own (readState): at most one is
// outstanding, waits for the timer, or is void because the session has begun to
// attach since it was sent.
//
// # Positions
//
// All of them are stream sequences.
//
//   - cursor: the session has dealt with everything up to here: written it, told
//     it as a gap, or passed over a marker. The next copy must have prev ≤ cursor.
//   - written: the last message or gap that went to the socket.
//   - floor ≤ written: the last one that the client has confirmed. The directory
//     stores it, and a resume begins there.
//   - anchor ≤ cursor: the newest message that has no time to live of its own.
//     Only an overflow, an expiry of the mailbox, or another log can have
//     removed it.
//   - seen: the newest message that can serve as an anchor and that the client
//     has. The directory stores it next to the floor, since the message at the
//     floor may have had a time to live.
//
// Of floor, seen and anchor the session also knows when the store stored them, which
// the directory has as well: two messages of one sequence and one time are the same
// message. The end of a gap has no time, since no message need be there.
//
// # Attach: is the subscription in force?
//
// A subscription takes effect on other servers of a cluster some time after it
// was made, and no answer says when. So the session sends a marker, an empty
// message, through the mailbox itself. When the marker's copy is back, the
// stream copies to this node whatever it stores from now on, and the copy's prev
// says where the mailbox stood. If prev ≤ cursor, the session is live without
// having read anything: the usual case. Otherwise it reads everything from the
// cursor to prev. Meanwhile it holds a few of the copies that come. Of those that
// do not fit it remembers only the highest sequence (missed), since the store
// has them.
//
// The markers of a session's first attach stay in the mailbox. The first of them
// that was stored, which need not be the first that was sent, becomes the first
// floor and the first anchor. All other markers have a short time to live. A
// marker that does not come back is sent again, with growing pauses and without
// limit: while the store does not answer there is nothing else to do, and the
// socket stays.
//
// # Behind: reading up to the copies
//
// A read asks for the messages after the cursor, and names a message to look for
// (the witness, below). The session takes the answer up to the client's bounds:
// the window of an acked client, the queue of the socket. Then either the next
// held copy follows the cursor (prev ≤ cursor), and the session writes copies,
// or there is more to read. An answer that ends before the known end came from a
// replica that lags, and the read is repeated after a pause; only the leader's
// word that nothing follows ends the search.
//
// A leader that was deposed, and does not know it, says what was true once. Its log
// ends below the marker that has come back, or below a copy that came before the
// question ([Batch].Last). Whatever it says, of the anchor too, the session asks again.
//
// A client that does not read fills the queue of its socket. Then Write reports
// no room; until Writable the session writes nothing, drops copies and is
// behind. So a slow client costs a bounded number of bytes and no messages.
//
// # Copies that another holder has kept
//
// What came while nobody had the session may be in the memory of the node that parked
// it. So what is missing is asked for there first ([Effects.Tail]), as long as the
// session has not been Live. Its copies ([Session.Copies]) are taken as live ones are:
// where prev ≤ cursor and the predecessor proves that nothing was dropped. The store
// wrote these links, so it is of no matter who has kept them. Where one is missing, or
// nothing comes, the store is read from there on. In doubt about the log the store is
// asked for the newest position of the directory, and for nothing else, before it
// (askPlace). Whatever voids held copies voids these.
//
// In the same way come messages that were read for many sessions at a time: what one
// server had of a mailbox at one moment has links as well. None but what has expired can
// be missing between two messages that were there together.
//
// # Delivered
//
// A message in the kernel's buffer is not delivered yet. A plain client gets a
// Ping behind the messages, with the last sequence as its payload. The Pong
// proves that the client's end has read so far, since it answers a Ping that lies
// behind the messages in the same stream (RFC 6455 §5.5.3). One such barrier is
// out at a time, and the next follows when something new was written. An acked
// client (umf.ack.v1) says itself up to where it has handled the messages, and
// has at most a window of unconfirmed ones.
//
// # Was anything dropped?
//
// A mailbox that is full drops its oldest messages. Neither a copy's prev nor a
// read shows this, because the sequences of other mailboxes leave holes anyway.
// The order of dropping does: as long as some older message of the mailbox (the
// witness) is still there, nothing after it can have been dropped. So each read
// asks for the anchor with what follows it, of one server, and the session
// takes a live copy without asking only if the copy's prev is not older than the
// anchor. Behind a gap there is no anchor: its end is no message and proves nothing.
// If the witness is gone, the session asks for an older one, if it knows one. If that
// is gone too, the messages in between count as lost: an acked client gets a [Gap] at
// its place in the order; for a plain client the owner counts and logs it. A gap may
// name messages that never were (sequences of other mailboxes); it never leaves out
// one that was. An overflow never takes a mailbox's last message: a mailbox that was,
// or is, empty has lost its messages to their time to live.
//
// Messages with a time to live may vanish at any time. Their absence proves
// nothing, and they are no anchors. If they vanish between two messages that are
// there, the session does not tell of it: that is the purpose of a time to live.
//
// # Is it the same log?
//
// A store that was restored from a copy, or that lost its tail with a disk,
// gives old sequences to new messages. Unnoticed, a session would take the new
// messages for ones that it has written long ago. While the connection to NATS
// lasts, and the leader, that does not happen. So a session doubts its positions
// (doubt, aged) when it attaches anew, and when a resume brings positions that are
// older than the connection ([Position].Old). It asks before it writes, once:
// whether the message at the position is there, and is the one that was stored at
// that time; and it reads what is behind the anchor again, up to the cursor, since
// all that can be there had a time to live and is gone, or is new. Each of these
// reveals another log ([Rollback]):
//
//   - a marker comes back at or below a sequence that was seen before it was sent;
//   - the sequence of the anchor belongs to another mailbox, or lies beyond the
//     end of the stream, or was stored at another time than before;
//   - the anchor has no time to live and is gone, though something older is there;
//   - a message at or below the cursor is younger than all that was taken.
//
// An acked client may name a sequence that it handled after the last checkpoint, of which
// nobody has the time. If that is gone, a position before it is there, and something lies
// between them, the client may have had it, and what it named had a time to live. Or that
// was so in another log, in which it is new. So the client is told of a rollback, and
// delivery goes on behind the position that is there.
//
// Where no position is there, the mailbox is read from its oldest message on (lost).
// If that one is above the cursor, nothing can be skipped or repeated, and a gap is
// told; it begins at the first sequence, because the log may have gone back before
// the mailbox overflowed, and then new messages below the cursor were dropped
// too. If it is below, its time says whether it is of this log. Without a time to
// compare with, a directory's position is taken for that of another log, and delivery
// begins there; a session that has written since tells a gap from the first sequence.
//
// What came over a connection that was lost is void ([Session.Disconnected]): copies,
// the marker, the answer to a read. Copies that come before the marker of the next one
// are not used either, because they may still be from before.
//
// One thing a session cannot know: whether another message of the mailbox has taken the
// sequence of which nobody has the time ([Session.Unproved]). The owner can, since others
// have seen what was there, and says so with the answer to the read ([Batch].Back). What is
// stored of the session before the log is known again says so too ([Session.Aged]).
//
// A floor that is there and is the message that it was says nothing of a marker above it.
// If the session passes the place of that one without meeting it, it is of another log.
//
// In another log the positions are void. The session tells the client, and begins to
// read at the start of the log that there is. Confirmations that were on their way
// belong to the old log: so barriers carry an epoch, and an acked client's
// confirmations count only if they name a sequence exactly, until it has
// confirmed the gap.
//
// # Races, and what closes them
//
//   - A message is stored after the subscription was made and before it is in
//     force: the marker is stored later, so its prev reveals the message.
//   - A copy overtakes the marker that was stored before it: the marker contradicts
//     the copy, and the session sends another one.
//   - A copy is lost on its way: the next one's prev is beyond the cursor. If no
//     next one comes (the leader died after storing, before publishing), the
//     owner's slow sweep compares the cursor with the store (Swept).
//   - Messages are dropped while a read is under way: anchor and messages are of one
//     server, at one moment.
//   - The connection is lost, the store goes back, and the connection returns before
//     the session has heard of any of it: the owner passes on nothing of the next
//     connection before Disconnected.
//   - The answer to a read arrives after the session has begun to attach anew: it
//     is void. One read is outstanding at most, so answers cannot be confused.
//   - The socket dies after the client has read and before it has confirmed: the
//     floor is older than what the client has. A plain client gets those
//     messages again, with the same mid; an acked one names its own position
//     when it resumes, and gets none twice.
//   - A client resumes with a position that it never had: the session does not
//     trust the floor (claimed) until the store shows a message of this mailbox
//     there. A position before the directory's floor replays; one in the future
//     or in another mailbox leads to a gap.
//   - The anchor expires while nothing comes that could replace it: Refresh
//     stores a marker without a time to live each quarter of the session's time
//     to live, and soon after a resume.
//   - Two owners: not decided here. The directory's revision keeps the older one
//     from writing; it calls Stop, after which no event has an effect.
//
// # Design
//
// Markers, and not a flush or a pause: the server that the node is connected to
// answers a flush, and says nothing of the stream's leader. After a flush, 18 of
// 100 subscriptions in a cluster missed a message that was stored right away;
// with a marker, none.
//
// The log has no name that a restored copy would not have too, so messages
// are compared by their time. Reading the whole mailbox after each reconnect would
// need no times, and cost as much as all of its messages.
//
// A gap is told as an overflow from the first sequence where a rollback cannot be
// excluded. Rejected: to tell a rollback then, which would be false nearly always,
// and to be silent about what is below the cursor.
//
// Drops are not detected by counting messages: a stream tells how many messages
// a subject has, but not how many it had, and expiries lower the number as well.
//
// There is one timer and one outstanding read, so every combination of events
// has few successors. That lets the model test (model_test.go) reach the odd
// ones: it runs sessions of both classes against a simulated stream that loses,
// delays and repeats copies, lags, drops, expires and rolls back, and against
// clients that stop reading, die and resume, and checks what the clients have
// got. mutate_test.go shows that the model notices each rule that is taken out. The
// scripts in testdata/transcripts show the races above one by one.
//
// The state lies in three parts by what it is about: knownLog, confirmation and
// reader. Only the last has a state machine of its own. A phase for each of the
// other two was rejected: nearly every combination of their flags can occur.
//
// Buffers come from pools and go back when they are empty: a live, quiet session
// owns nothing but its own struct.
package session
