// Package crowd reads mailboxes for many sessions that come back at a time, as those of a
// node do that died, with what it had kept for them.
//
// To read one mailbox costs NATS for the question, for each message, and for all that its
// stream holds of others in between. So there is a number of sessions from which on it is
// cheaper to read the whole stream once, from the lowest of their positions on, and to
// deal out what is in it: a pass. A [Crowd] counts what sessions that ask have cost, or
// will, against a pass from each of their positions, and begins one where that is the
// cheaper way. If the node that they come from has died, the first are taken for ten
// each. Who asks while a pass is read waits for it. What it has read is kept for those who
// come later; and it goes on from its end, as soon as that is cheaper for them.
//
// # What makes it safe
//
// A pass takes pieces of the stream: each is what one server had at one moment
// ([hydrant/bus/store.Store.ReadPiece]). A full mailbox drops its oldest message first. So
// where a message of a mailbox is in a piece, all that follows it in the piece follows it
// in the mailbox, but for what expired or was removed by hand: there is a link between
// them, as between two live copies, and the session machine checks links. Between two
// pieces the mailbox may have dropped something (a seam). If the message before the first
// seam is there still when both have been read, nothing was: a session that is given
// messages on both sides has the store asked for it (the witness).
//
// A session is given what is between its position, which has to be in the pass, and the
// predecessor of its own marker, which has to be too: all of it or nothing. So no marker
// of a rival can be between what it is given and what it then gets as copies. What has a
// time to live is given only if that is not over by the clock of the store, which the
// caller knows.
//
// A pass is of the log that its connection to NATS has shown. It is void when the
// connection is lost and when its stream has a new leader. A session that has noticed
// less of that than the pass, or more, gets nothing of it (the epoch).
//
// What a pass does not have a session reads by itself, as if there were no pass.
//
// # Bounds
//
// One piece is read at a time on a node: many would be more than a NATS server keeps for
// one client. All passes keep at most so many bytes; a pass that has no room for more
// ends where it is. What was dealt out is kept no longer, and the rest until nobody has
// asked for a while. One that has failed, or had no room, is not begun anew for a while.
//
// # Design
//
// With 600 sessions of 9 messages in one stream, a pass costs 44 µs a session and one
// reading 640 (go test -run '^$' -bench Piece ./bus/store). One by one, 10,000 sessions of
// 10 messages in 16 streams whose node has died took node and NATS 1.9 ms each, so 0.4
// (go run ./integration/bench -only killed, two cores that others used as well).
//
// Rejected: pieces that overlap, so that a mailbox goes on over a seam where a message of
// it is in both. Many sessions in few streams have none there, and a witness costs them
// less than a reading. Rejected: to wait for the price of a whole pass before it is begun
// for the sessions of a node that has died: a third of them had been read by then.
package crowd
