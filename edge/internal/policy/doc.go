// Package policy decides what a client may send, and to whom: its rules. It is
// pure. A rule set is a JSON object, and allows what it names:
//
//	{"services":["chat","orders-*"],"clients":"user","queues":["orders"]}
//
//	services  services that the client may write to, with [METHOD] or without, and
//	          to each of their instances
//	queues    services that it may store work for
//	clients   sessions that it may write to: any, user (those of its own identity)
//	          or none
//
// A member that is absent allows nothing. A name is one of a service, and may end
// in *, which stands for any rest, an empty one too. {sub} in a name, once, is the
// client's identity, letter for letter: a * in an identity is no *, and to a client
// without an identity such a name allows nothing. What is not understood refuses
// the whole set: another member, one that is there twice or in other case, a value
// of another type, a name that no service could have, and whatever stands behind
// the object.
//
// Three things no rule set changes. The service that authenticates clients is
// reached by none of them. Messages to the router itself need no right; its API has
// a setting of its own. And an answer to a message that a session was sent needs no
// right either: who sends a message remembers that, not this package.
//
// # Design
//
// Rules are those of a connection: a session that is resumed has the rules of the
// token that it is resumed with.
//
// A set is read by tokens. Rejected: encoding/json into a struct, which takes
// Services for services, passes over what it does not know, and of two equal keys
// takes the last.
//
// Names are compared as they are routed, so case matters: to NATS, Chat is another
// service than chat.
//
// Rejected: to forbid by name. Of two lists one forgets the service that is added
// next, and a set then allows it.
package policy
