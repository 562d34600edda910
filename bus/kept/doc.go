// Package kept puts a mailbox together of what its stream still holds and of what was set
// aside before its place there was purged. It decides only, and knows neither NATS nor a
// clock.
//
// # What is set aside
//
// A stream of mailboxes holds what waits, not what was delivered: below a sequence of it,
// the horizon, everything is purged from time to time. What still waits there is copied
// before to a stream of its own, and a seal is stored in the mailbox: an empty message
// that says that all which the mailbox held before it was delivered, or is in that stream
// from one place to another, or is written there as lost. A seal is stored only if the
// mailbox's last message is the one up to which that was made sure. So a seal is true
// wherever it is met, and as long as it is there nothing that came after it was dropped.
//
// So a mailbox whose beginning is gone is what was set aside, up to a seal ([Shelf.Sealed]), and
// then the log from the seal on. Without a seal (the stream dropped its oldest messages)
// what was set aside is only as good as its links ([Shelf.Unsealed]): each copy names the
// sequence of the one before it.
//
// What was set aside may be lost, too: it ages, and its stream may be deleted, or lose its
// end. It is only added to. So a seal names a first and a last place where something without
// a time to live lies, and the round that the last one is of. If both are there so is all
// between them. Else what is not there counts as missing for readers, from the beginning up
// to the first copy that there is, or up to the seal where the last one is not there; and a
// round takes nothing over from a seal whose last one is lost.
//
// [Round] is what a node does that makes room, [Settle] what it does with one mailbox, and
// [Read] how a mailbox is read. They ask and write by interfaces that package store has for
// NATS; the model of package edge/internal/session has others, whose servers are behind, whose
// answers are lost and whose nodes die between any two of these steps.
//
// # What a reader is told
//
// The answer has the form of one that the stream itself would have given, had nothing been
// purged. The message that the reader's place rests on counts as there, unless something
// is missing behind it. What is missing ends an answer: the next one begins with the word
// that the place is gone, and with the first message after what is missing.
package kept
