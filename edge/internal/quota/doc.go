// Package quota counts what each sender takes of what all share, so that none harms
// the others: messages and bytes, sessions that come to nothing, and room in others'
// mailboxes. It decides, and neither waits nor asks anybody: times are given to it, as
// durations since a start that its callers agree on.
//
// # Who
//
// A sender is an identity or, where a client has none, an address ([Who]). What counts
// as one address is for the callers to say. An account outlives connections, so that
// nobody gets a new one by connecting anew.
//
// # Design
//
// A bucket is one word, the time up to which its allowance is spent (the generic cell
// rate algorithm), and is taken from without a lock: the loops and goroutines of a
// node share accounts. x/time/rate has a mutex and five words.
//
// Tables are bounded. An account that nobody uses and whose buckets are full again says
// nothing, and so is what goes first; then any that no connection uses.
//
// A sender's share of a mailbox is counted where it sends. Rejected: to ask the store
// how much of a mailbox is whose, which no index tells; and to count at the receiver's
// node, since a mailbox that is parked has none.
package quota
