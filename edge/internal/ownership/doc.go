// Package ownership decides which socket has a session: how a fresh session is
// entered into the directory, how a claim takes one over from a holder anywhere,
// and how a holder notices that it has lost one. It does no I/O: events come in,
// [Effects] go out, and time is an argument.
//
// A holder is one socket's ownership of one session, on one loop of one node. It
// has a random id, which stands in the session's directory entry. A [Machine] is
// the life of one holder.
//
//	Idle ──▶ Opening ──▶ Entering ─────────────┐
//	  │                                        ▼
//	  └──▶ Reading ◀─▶ Claiming ──▶ Joining ──▶ Served ◀─▶ Doubted
//	          │  └────────────────────▲ │        │ │         │
//	          └──▶ Asking ──▶ Claiming  │        │ └▶ Leaving │
//	                                    ▼        ▼           ▼
//	                                      Parking        (any) ──▶ Gone
//
// # Rules
//
// The directory entry is compared and swapped, so that of two claims one wins.
// What remains is to keep the loser, and whoever had the session before, from
// writing to an older socket after a newer one was welcomed. Answers may be late
// or lost, writes may be taken late, and processes stand still.
//
//  1. Every request has a number. An answer counts only if the phase still waits
//     for that number.
//  2. A client's sockets are numbered (attempt); the number stands in the entry
//     and in questions. A claim that meets a higher number ends its own socket
//     (4501). A lower or equal one never means that the session is lost: the claim
//     goes on from there. Of two claims without a number one is told to come back.
//  3. An entry that names the claim's own holder is its success, whatever the
//     write was answered: a write that was thought lost may be taken late, and
//     refuses its own repetition.
//  4. After every refusal the holder is asked again, unless it has answered for
//     that holder id. Silence, and the word that nobody listens, are no answers.
//  5. A proof is a write. Whoever is not sure that a session is still its own
//     writes its entry again at the revision that it knows, and goes on when that
//     is acknowledged. A read is not enough: a claim whose write is on its way
//     wins after the read.
//  6. A proof is due after a stall of the process, after a new connection to NATS,
//     and when another holder's marker is seen. What was sent before does not count.
//  7. A claim that takes a live session after silence is in doubt: the holder may
//     still write. The entry says so until the client is welcomed, and a claim that
//     reads that is in doubt too.
//  8. In doubt the welcome waits until the claim's own marker is back, which ends
//     the old holder's writing, and what it wrote before has arrived.
//  9. A write counts for less time than others wait for a hand-over. What is
//     acknowledged later has to be proved again.
//  10. A hand-over stops the writing first, and then answers. A claim that is
//     asked before its write is acknowledged gives up.
//  11. That an entry is absent, or names another, ends a session only if a quorum
//     says so.
//  12. Floors never go back: a claim takes the later of what the holder answered
//     and what the entry says.
//
// # Design
//
// One machine is the claim and the holder that it becomes, so that whatever comes
// late for the claim meets the same number check.
//
// Rejected: a lease with a time. Processes stand still for longer than any lease
// that a resume would want to wait for. Rejected: proving by a read of the
// directory's leader; see rule 5. Rejected: comparing a count of stalls with that
// of the question, which let an answer from before a reconnect end a newer doubt.
package ownership
