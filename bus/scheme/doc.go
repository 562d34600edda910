// Package scheme is Hydrant's protocol on NATS: ids, subjects, headers, the names
// of streams, the permissions of users, and the stored form of a session's entry.
// It has no I/O and imports the standard library only. With the sections below,
// a service or a node can be written in any language.
//
// # Names
//
// A session id (sid) is 26 characters of a-z2-7, 130 random bits. A node id is
// 32 hex digits, new at every start of a node. Services and their instances have
// names of [A-Za-z0-9_-]{1,64}. All of them are single literal tokens of a
// subject by form. Each is a type of its own, which one parser makes: [SID],
// [NodeID], [Service], [Instance]. So a builder of subjects cannot fail, and what
// a client wrote cannot become a wildcard or reach into another part of the
// scheme. Every parser of subjects takes exactly what its builder makes.
//
// # Subjects
//
//	umf.v1.svc.<service>                    client → service, queue group <service>
//	umf.v1.inst.<service>.<instance>        client → one instance
//	umf.v1.out.<c>.<sid>                    mailbox of a session; <c> is the first character of <sid>
//	umf.v1.call.<service>                   service → service, queue group <service>
//	umf.v1.live.<c>.<sid>.s                 copies of what a mailbox has just stored, by its stream alone
//	umf.v1.live.<c>.<sid>.p                 pushed past the mailbox: at most once
//	umf.v1.reply.<node>.<c>.<sid>.<m>       NATS reply subject of a client's message
//	umf.v1.req.<node>.<id>                  NATS reply subject of a request that a node waits for
//	umf.v1.node.<node>                      node → node
//	umf.v1.work.<service>                   work queue of a service, if it has registered one; else nothing listens there
//	umf.v1.dead.<service>                   what was given up of that queue
//	umf.v1.exists.<c>.<sid>                 is there such a session? One node answers: yes or no
//	umf.v1.exists.queue.<service>           has the service registered a work queue? The same
//	umf.v1.evt.session.<what>.<c>.<sid>     what happened to a session
//	umf.v1.expiry.<c>.<sid>                 message that grows as old as the session may
//	umf.v1.gone.<c>.<sid>                   copy of the server's word that it has
//
// <m> is the mid of the client's message, as JSON text: "m" and the string, if
// it is one of [A-Za-z0-9_-]{1,64}; else "x" and the unpadded base64url of the
// text, which is at most 128 bytes long; "m" alone if there is none. <id> is of
// the form of an instance's id; it ends in 128 random bits, so that only who was
// asked can answer.
//
// Payloads are UMF messages in short form. Headers:
//
//	traceparent                             the trace that the message is part of: W3C Trace Context
//	Umf-Session, Umf-Mailbox, Umf-Identity  who sent it, and the subject that reaches him (node → service)
//	Umf-Reason, Umf-Attempts                why work was given up, and after how many attempts
//	Umf-Mark                                an empty message that only marks a place in a mailbox
//	Umf-Holder                              who sent the mark: holder and attempt, as in the session's entry
//	Umf-Write                               the name of one write to the directory
//	Nats-Msg-Id                             <receiver>:[<sender>:]<mid>[~<content>], where the sender may repeat; see below
//	Nats-TTL                                the message's ttl in seconds, rounded up
//	Nats-Sequence, Nats-Last-Sequence       in a live copy: its place, and that of the mailbox's message before it
//
// A repetition is a message of one sender to one receiver, with a mid of the last minute
// and the same content: to, type, forward and body, as parsed, and not timestamp, headers
// or signature. Streams drop it by its Nats-Msg-Id. <receiver> is the session's id or the
// service's name, and <sender> the session's id or the instance's; over HTTP it is a hash
// of who posts and of from. <mid> is the mid, or where it has other characters than
// visible ASCII without : and ~, or more than 128, ~ and the base64url of its SHA-256.
// <content> names the content; umf.ContentID makes it, and umf/testdata/content.json has
// examples for programs in other languages. So another message under a mid that was used
// is stored as any other.
//
// # A message to a service
//
// A node publishes it on svc or inst with a reply subject (reply). If no service
// listens, the server at once sends an empty message with status 503 to the
// reply subject, and to the publisher only; the node, which subscribes to
// umf.v1.reply.<node>.>, reads from the subject whose message it was and which.
//
// The service's answer goes to the same subject, where the mailbox stream takes
// it: the stream listens on umf.v1.reply.*.<c>.*.* as well, transforms the
// subject to umf.v1.out.<c>.<sid>, stores the message and republishes it on
// umf.v1.live.<c>.<sid>. So the plain Respond of any NATS library stores its
// answer, in one hop, wherever the session is connected by then.
//
// Services call each other on umf.v1.call alone. Nobody but nodes publishes on svc and
// inst, so what stands in the headers there is a node's word; on call no header is.
//
// To a message whose reply subject is req, the service answers there instead: the
// node waits for the answer itself, and nothing is stored.
//
// # Discovery
//
// Services and nodes register with NATS' micro service protocol, so `nats micro
// ls` shows them. The metadata has kind ("service", "node"), instance, hostname
// and routes. A service counts for this scheme if it has an endpoint on
// umf.v1.svc.<its name>.
//
// # Forms
//
// The directory has an entry for each session, written and read by nodes alone.
// Its form has a number in each entry ("v") and, the highest in use, in the metadata of
// the directory's stream. Nodes write that one, from [RollingForm] to [Form], so that two
// versions run beside each other. A reader takes its own form and lower ones. Of a higher one it concludes nothing: the session is neither expired nor
// another's, it may just not be served here ([ErrNewerForm]).
//
// The first form has no number, and its readers look for none. So that they leave
// later entries alone, these have other numbers for the states (3 and 4 for live
// and parked instead of 1 and 2), which they refuse. Package store documents how
// they are kept from running at all.
//
// # Design
//
// Why the reply subject has one form only: a stream has one subject transform,
// whose source matches a fixed number of tokens unless it ends in ">", which
// the destination then must end in as well. A rest cannot be dropped.
//
// Why the mid is in the reply subject: "no responders" carries nothing else. A
// queue of outstanding messages per subject gives the wrong answer when a
// service disappears between two messages.
//
// Why a session's subjects repeat its first character: a stream selects the
// mailboxes of its partition by it, since NATS matches whole tokens only.
//
// Why permissions name each stream: for the same reason, a wildcard would open
// the streams of others.
//
// Why copies and pushes have subjects of their own: whoever may push could else write
// a copy, with sequence numbers and times of its own, and stop what is real.
package scheme
