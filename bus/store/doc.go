// Package store is what nodes keep in NATS: the mailboxes of sessions, the
// directory of sessions, when they expire, and the services' work queues. It
// makes the streams, checks that they hold what it promises (the contract), and
// tells an operator what is wrong ([Diagnose]).
//
// # A mailbox
//
// Every message for a session is stored in its mailbox, whether the client is
// connected or not. The streams UMF_OUT_0 … UMF_OUT_<n-1> share the 32 possible
// first characters of a sid; n is 1, 2, 4 … 32. A stream's leader is one core's
// work, and reading a queue costs for everything that its stream stored since:
// hence several. The streams drop the oldest message of a mailbox that is over
// its bound (which has a few places more, for the message at the floor and for
// markers), and age out what is older than one and a half times a session's
// time to live.
//
// A node that holds a session's socket subscribes to the live subject. Copies
// are core NATS messages: any of them may be lost. The sequences tell: a copy
// whose Nats-Last-Sequence is not beyond what the node has seen follows
// directly. Otherwise the node reads what lies between from the stream.
//
// How does a node know that its subscription is in force everywhere, so that
// the next message will be copied to it? It publishes a marker
// ([Store.PublishMarker]), an empty message with the header Umf-Mark, to the
// mailbox; Umf-Holder says which holder attached with it, and under which attempt of
// its client, so that others can tell a rival's marker from their own and their
// predecessor's. When the copy comes back, the server that leads the stream knows of the
// subscription, and the copy's Nats-Last-Sequence says where the mailbox stood. (A
// flush is answered by the server that the node is connected to, which says
// nothing of the others: after it, 18 of 100 subscriptions in a cluster missed a
// message.)
//
// # Reading a mailbox
//
// [Store.Read] reads what a session that is behind has missed: a direct get asks any
// replica for what follows in the mailbox, in batches. Reading is at every step allowed
// to go wrong:
//
//   - Who answers may lag behind what was acknowledged long ago: 12–20 of 100 reads
//     right after an acknowledgement end too early. So the end of an answer proves
//     nothing. Read asks the stream's leader what comes next, and says so (Batch.Next);
//     only the leader's "no message" means that there is none.
//   - A message may be lost between the server and this process. Each message of an
//     answer names the one before it, and so does the end: the hole shows, and the
//     whole is asked for again.
//   - The mailbox may have dropped messages because it was full, which leaves no
//     trace. But a mailbox drops its oldest first: if the last message that the reader
//     had before (the anchor) is still there, then everything after it is there as
//     well. So the anchor is asked for in the same request as what follows it, and a
//     server gives both as they are at one moment. Asked one after the other, two
//     servers would answer, of which one may lag, or be a leader that was deposed.
//   - The stream may have gone back in time (a restored backup), so that old
//     sequences are given to new messages. Then the anchor's sequence is beyond
//     the stream's end, holds a message of another mailbox, or one of this
//     mailbox that was stored at another time (Batch.AnchorTime).
//   - A leader that was deposed and does not know it says that messages are not there
//     which were stored since. Where the leader is asked, its answer tells where its
//     log ends (Batch.Last), which the reader compares with what it has seen.
//
// # The directory
//
// The key-value bucket UMF_SESSIONS has one [scheme.Entry] for each session, key
// sid. A writer names the revision that it has read, and the server refuses it
// ([ErrFenced]) if that is not the last any more. So of two nodes that take a
// session over, one wins. The entry's holder, a random number for each attachment
// to a socket, says whose it is: by it a writer that was refused knows whether it
// was its own write, and a node that asks for the session names it (package edge
// documents how). If the answer to a write is lost, its repetition meets its own first
// copy as a conflict; every write of [Directory] that waits carries a name (Umf-Write)
// by which the writer recognises it.
//
// A server refuses a compare-and-swap in two ways (nats-server 2.11 to 2.15). It
// says 10071, with the revision that it has, when that is another one: [ErrFenced].
// With one replica it compares and stores in one step, whatever the storage and
// sync_interval, and says nothing else. With more, the leader compares with what it
// has applied, proposes the write, and answers when the copies have it. As long as
// a write is proposed for a key it refuses all others to that key with 10164, right
// or wrong: [ErrBusy], which decides nothing. A write that comes at the heels of
// an acknowledgement may meet this too, since the leader acknowledges a little
// before it forgets the proposal; with sync_interval: always proposals take
// longest; a leader without a quorum keeps them until it steps down, ten seconds
// and more. It may say 10071 as well, and compares with a state that has passed: so
// a refusal does not say who has the session. [Directory.Sure] does.
//
// # No absence without a quorum
//
// Any replica answers a direct get, and may lag. STREAM.MSG.GET is answered by a
// server that takes itself for the leader: one that was cut off from the others
// does so for ten seconds and more, also for a while after it is joined to them
// again, and says of sessions that were opened meanwhile that there are none. An
// entry that is there needs no proof: if it is old, a compare-and-swap on its
// revision fails ([Directory.Get]). But where an answer would end, repeat or skip
// something (expired, no such session, another has it), it must come from a server
// that has all that was acknowledged before the question ([Directory.Sure]):
//
//   - The node writes a probe, a message with a time to live of a minute under a
//     key of its own in the bucket (_probe-<id>; keys that begin with "_" are no
//     sessions). Its acknowledgement, after the question, needs most of the
//     servers, and gives its sequence. One probe is for all who ask until it is
//     sent; the next one is sent a fifth of a second later at the earliest, or ten
//     milliseconds where the session was there a moment ago: whoever makes up ids
//     has others wait for nothing.
//   - Then a direct get asks for the last messages of both keys, the session's and
//     the probe's (multi_last), which one server answers, from one state. If the
//     probe in the answer has that sequence, or a later one, the server has
//     everything that was acknowledged before. Otherwise it is asked again, until
//     the context ends: [ErrUnconfirmed], and nothing is known.
//
// An entry that has become too old by the time of the probe is absent as well: each
// server removes what is too old by itself, when it comes to it.
//
// An absence is asked for twice: the server notes where the stream ends before it
// looks the keys up under its lock, and passes over what is written in between, so
// that a key which is rewritten in these microseconds looks absent. (To name an end
// beyond the stream's own, so that nothing is beyond it, is answered with nothing by
// streams in files.) [Directory.Proofs] counts what it costs.
//
// # Logs that went back
//
// Whoever saw a message in a mailbox can tell later whether its stream was put back, or has
// lost its end ([Store.WentBack]). That is noted in the directory, under a key of each
// stream (_back-<partition>, [Directory.NoteBack]): an entry with a lower revision may be
// of the log that was, and so may what its client says of it.
//
// # Seen once
//
// With a window for signed messages each node notes in the directory which ones it has
// taken (_seen-<hash>), with a time to live, and only where there is no such key
// ([Directory.Once]): what one node has taken no other takes, nor the same one after a
// restart. One write is a round trip for its sender, and 23 to 32 µs of processor time
// for sender and one server together (go test -run '^$' -bench Once ./bus/store).
// Rejected: a mailbox that nobody has, which would spread these keys over all streams.
// A stream of mailboxes that is full drops its oldest, and with that what was seen.
//
// # Forms
//
// Entries have a number of their form ([scheme.Form]), and the directory's stream
// has the highest in use in its metadata (umf.form). Code that meets a higher number
// than it knows, there or in an entry, reads and writes nothing any more
// ([ErrNewerForm], [Store.Usable]), changes no stream, and is not ready, with the
// number and what to do in the text. So it ends no session that it cannot read. A
// number in the stream's metadata is looked at again with each CheckContract, one
// that was met in an entry counts until the process ends. Entries of a lower form
// are read, and written in the one in use when they are next.
//
// That is the one that the stream names, [scheme.RollingForm] at least, so that nodes
// of two versions run beside each other. It is raised ([Store.Raise]) by hydrant setup,
// unless nodes answer that do not know the higher one, or by a node that may, when it has
// seen no such node for five minutes: one that drains answers no more, and has sessions
// to park. Should one have been silent all the time and go on, it serves nothing from
// then on, as above. Rejected: to raise it with the first new node, which ends the others
// in the middle of an upgrade.
//
// The first form had no numbers, so its nodes look for none. They are stopped by
// what they do look at, every 30 s and before they start: a stream must have no
// max_msgs, and they do not change that. UMF_EXPIRY, which is of their streams the
// one where it costs nothing, has one of 2^40 (formGuard). A node of the first form
// that runs when the first one of this form starts is not ready within 30 s, with
// "stream UMF_EXPIRY: max_msgs: want none" as the reason, and takes no new clients;
// one that starts later never is. The clients that it has stay until it ends.
// Entries of this form it refuses by their state, which is 3 or 4: it answers a
// resume with 1013, a look-up with yes, and writes nothing over them; of a session
// that has gone elsewhere it lets go. Beside this, [hydrant/bus/discovery.Discovery.Outdated]
// names such nodes. (All of it was tried with a binary of that version: go test -tags
// oldnode ./integration.) To go back for good, an operator takes max_msgs off
// UMF_EXPIRY; what was written since is then refused until it expires.
//
// # When a stream fails
//
// CheckContract asks all streams at once, and stores a marker through each mailbox
// stream. What it finds of one stands until that one has been seen to work. If only
// mailbox streams fail, and not all, the error is [ContractError].Partial: new
// sessions are opened on those that work ([Store.NewSID]). Without any, they are
// refused at once with the reason ([ErrNoMailbox]). Limits that are lower than this
// node's configuration, since another node that started later has lower ones, are
// [Store.Warnings]; how often sessions must be renewed follows ([Store.TTL]).
// [Store.Repair] makes what is gone again.
//
// # Expiry
//
// The directory forgets a session by itself and tells nothing. So the node that has
// parked or renewed one, or has had it for a minute, also publishes an empty
// message to umf.v1.expiry.<c>.<sid>, which the stream UMF_EXPIRY keeps, one for
// each session, for a session's time to live. When it is too old the server puts a
// delete marker in its place (subject_delete_marker_ttl, ADR-43), which is
// republished, and one of the nodes gets the copy. It asks the directory for a
// proof: if there is no such session any more, it says so on
// umf.v1.evt.session.expired; if there is, since a client has used it, it leaves
// a new message. Nothing is remembered by a node, so the sessions of one that
// died end in the same way; but those that were less than a minute old end
// without a word, for a message at each connect would cost all for the sake of
// few.
//
// # A full store
//
// When the storage of the account is used up, NATS takes nothing more: no
// message, no marker, no entry of the directory. Sockets stay, senders are told,
// and what is stored stays. But no session can open, and none can move to
// another socket: the move is a write to the directory, and without that fence
// two nodes could own one session. With Config.MaxBytes the mailboxes drop
// their oldest messages instead, which is told as a gap; it should leave the
// directory some room within the account's limit.
//
// A session that is dropped because its socket resumed an older one leaves its
// first marker behind, about a hundred bytes, until the mailbox's age ends it.
// To remove it, nodes would need to be allowed to delete messages, which would
// let whoever has their credentials delete everything.
//
// # Work queues
//
// The stream UMF_WORK with work-queue retention: what a client forwards to a
// service's queue is acknowledged by the store, waits for the service, a week at
// the most, is handled by one instance at a time and at least once, and is
// removed when it has been. A queue that is full (100,000 messages) refuses.
//
// A queue is registered by its consumer. The stream's subjects are those of the queues, so
// that the server itself refuses all other work, by "no responders", whoever sends it.
// They are made of the list of consumers and of nothing else, after a consumer was made:
// NATS changes a stream unconditionally, and by this the last of several registrars puts
// right what they have undone of each other's. Whoever removes or makes a consumer by
// other means has it seen by the next node that reads the list, if that may update
// streams ([Queues]), or by [Setup].
//
// A server of its own, outside a cluster, changes what a stream listens to by the
// difference to what the stream was when the request came (nats-server 2.15,
// updateWithAdvisory). Of two requests at a time one may take a subject out, and the
// other, which has it from before, not put it in: the stream has it, and its work gets
// "no responders". Or both put it in, and what is sent there without an id is stored
// twice, until that server starts anew. So nodes change the stream in turns, by a key in
// the directory (_turn-work) that ends by itself if its holder dies; and a node that finds
// a subject of the stream without a listener takes it out and puts it in again, whoever
// was the cause: a node of a former version, or [Setup], which has no right to write
// turns. In a cluster all changes go through one log, one after the other. Rejected: the
// rights for [Setup], with which who installs could read the sessions; to ask only where
// work was refused, which its sender is told and no node.
//
// Former versions took work for any name. Their nodes find other subjects than that broken,
// put them back where they may, and are not ready where they may not: so the stream is
// narrowed when none of them answers any more ([Queues.Fit]).
//
// Rejected: that nodes and kits look, which others need not do; permissions for each
// queue, which would have the servers' configuration written for each registration; and a
// subject that always listens, by which a service could tell "no leader" from "no queue":
// what is sent there would be stored.
//
// # Blocking, windows, exactly one completion
//
// Calls that wait for an answer take a context and are bounded without one as
// well. The asynchronous calls ([Store.PublishAsync], [Store.EnqueueWorkAsync],
// [Directory.UpdateAsync]) have a bounded window and refuse when it is full
// ([ErrOverload]). Each accepted call is completed exactly once: by the answer, by
// its timeout, by the loss of the connection, or by Close. Nothing here waits for a
// server, except as [hydrant/bus.BlockTimeout] says.
//
// [ErrUnconfirmed] is the error to think about: no answer came, and the message
// may be stored. [ErrRefused] and [ErrUnavailable] mean that it is not.
//
// # Design
//
// Why a stream per partition and one subject per session, and not a stream or a
// consumer per session: a consumer costs its server 40–50 KB and 0.15–0.5 ms
// (with three replicas a megabyte and 16 ms), 50,000 of them make a restart take
// half a minute, and consuming live through a thousand costs 448 µs a message
// against 13 µs for republishing. With live copies a session that keeps up
// costs one core subscription.
//
// Why a queue is read by direct gets, and not by a consumer: with one, messages and
// anchor come from two servers, it has to be made and removed, in a cluster by the
// leader of all, and it is gone with its server. Side by side, a resume of 10 messages
// among 3,000 took node and servers a third less, one of 100 among 1,000 8 % less
// (go run ./integration/bench -only resume -resumes 1000x100,3000x10), and a queue of
// 1,000 in a stream with 20,000 others' messages 10 to 30 % more: the server counts
// what is left for each answer (go test -run xxx -bench CatchUp ./bus/store).
//
// Where many sessions come back at a time a piece of a stream is read once for all of
// them ([Store.ReadPiece]): it costs 4.4 µs a message, of all mailboxes, and 600 queues of
// 9 messages 44 µs each where one by one takes 640 (go test -run '^$' -bench Piece
// ./bus/store). The filter has to be ">": with a wildcard for the mailboxes the server
// compares each message with all subjects of a block, which takes three times as long.
// Rejected: a consumer for the range. It tells of no moment at which a server had all
// that it gives, from which follows that nothing was dropped in between.
//
// Why nats.go's key-value package does not write the directory: it has no
// asynchronous compare-and-swap, and takes a lagging replica's word for an absent
// key.
//
// Rejected, as a proof of absence: to create the entry, which a session that comes
// back would then have to win from us; STREAM.INFO, whose answer is as good as
// STREAM.MSG.GET's; a probe for each question, which costs a write.
//
// Why a repartition is refused: the number of streams decides which stream
// holds a mailbox. Changing the subjects of streams that hold messages would
// leave those behind, unread and unnoticed.
//
// Why this package does not connect to NATS: [CheckPermissions], which needs a
// connection of its own, takes a function that makes it. So nodes and services
// share how to connect, and the store and the kit for services nothing.
//
// Measured on two cores with the server in the same process (go test -bench .
// ./bus/store): a stored, acknowledged message 5.8 µs in a full window, 32 µs one
// after the other; from publish to a live subscription 6.0 µs; a directory
// checkpoint 7.1 µs; the last sequences of 500 mailboxes 2.6 ms.
package store
