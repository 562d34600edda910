// Package ownership decides which socket has a session: how a fresh session is
// entered into the directory, how a claim takes one over from a holder anywhere,
// and how a holder notices that it has lost one. It does no I/O: events come in,
// [Effects] go out, and time is an argument.
//
// A holder is one socket's ownership of one session, on one loop of one node. It
// has a random id, which stands in the session's directory entry. A [Machine] is
// the life of one holder.
//
// # Phases
//
// A fresh session goes from opening by entering to served; a claim from reading,
// by asking where the session is live, to claiming, joining and served. From there
// it goes to doubted and back, and in the end by leaving to another holder, or by
// parking into the directory. These are all changes of phase:
//
//	idle      opening reading
//	opening   entering gone
//	entering  served parking gone
//	reading   asking claiming parking gone
//	asking    claiming gone
//	claiming  reading joining parking gone
//	joining   served parking gone
//	served    doubted leaving parking gone
//	doubted   served parking gone
//	leaving   gone
//	parking   gone
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
//     refuses its own repetition. It is from before, so that a proof has to follow.
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
//     reads that is in doubt too. Its markers have no time to live.
//  8. In doubt the welcome waits until the claim's own marker is back, which ends
//     the old holder's writing, until what it wrote before has arrived, and for a
//     proof that was sent after that.
//  9. A write counts for less time than others wait for a hand-over. What is
//     acknowledged later has to be proved again, and before that the claim does
//     nothing: it neither attaches nor ends a holder on its own loop.
//  10. A hand-over stops the writing first, and then answers. A claim that is
//     asked before its write is acknowledged gives up. Whoever was promised an
//     answer gets one, however the session ends.
//  11. That an entry is absent, or names another, ends a session or a claim only
//     if a quorum says so. An entry that is there may be read from any replica: the
//     comparison is its proof. After a refusal only a quorum will do, since the
//     replica may show the same revision for a while.
//  12. Floors never go back: a claim takes the later of what holders answered and
//     what the entry says, whoever has it by then.
//  13. A claim whose socket is gone takes nothing over. It goes on only for what a
//     holder has answered, or its own write has taken, and parks that.
//  14. A claim that shows nothing but the session's id takes it from a holder only
//     whose client is silent. Whether it is the holder finds out ([Live]), and hands
//     over when it has; until then it serves its client. Such a claim goes nowhere if
//     the question could not be sent.
//  15. A revision below the holder's own proves that the directory was put back to an
//     older state. An entry of then that names another holder is no loss. One that is
//     younger than the holder's own is: of a claim that knew only the older state.
//
// # What the owner sees to
//
// The machine's safety rests on this:
//
//   - After a stall the owner says so first, before any event that waited.
//     After a new connection to NATS likewise, before anything that comes over it.
//   - An answer in a store read, or a copy, is looked through for others' markers
//     before anything of it is written, and one message of a mailbox is not
//     written before its own marker is back. The marker is its newest one; markers
//     of the holder before ([Machine.Former]) are no rivals. What was read before that,
//     for others as well, is written only with all that is in the mailbox up to it.
//   - A copy is written within the pause of rule 8 after it was stored, or not at
//     all; and a read of the store within that after its answer was up to date,
//     wherein the lag of a replica counts. What the former holder has kept is old by
//     then, and need not have the marker of whoever took the session since. So it is
//     written within a second of the welcome, or not at all: a claim that has met
//     silence welcomes its client later than that.
//   - "Nobody listens" is told only of a node that gets no copies any more: where a
//     route between two servers is cut, it is silence.
//   - Silence is not told before [Patience] is over, also where the question
//     could not be sent.
//   - What was answered to a question is remembered and answered again, but to a
//     claim that shows nothing but the id: it could be faster than the one that has
//     shown more.
//   - A question of a claim that shows nothing but the id is put to the machine only
//     when the client has been silent, or is gone.
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
// Rejected: to attach with a late acknowledgement and to prove before the welcome.
// The holder that had the session by then may be on the same loop, and was ended.
// Rejected: a phase for a session whose client is being asked whether it lives. All
// that may happen to a served session may happen meanwhile, and the phase would have
// to have a transition for each.
// Rejected: to welcome in doubt when the pause is over, with the acknowledgement
// from before it. A timer may be late, and another claim, which was told that nobody
// listens here, had been welcomed.
//
// model_test.go runs several machines, in several nodes, through random schedules
// of all this; testdata holds the schedules above as scripts, to be read next to
// this text; and mutate_test.go takes each guard and transition out, and shows that
// one of the two notices.
package ownership
