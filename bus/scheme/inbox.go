package scheme

import "strings"

// Inboxes: where the answers to a user's own questions come. Each user has a prefix of
// its own, which its permissions name, so that no other can listen there.
const (
	inboxStart = "_INBOX"
	// NodeInbox is the prefix of all nodes.
	NodeInbox = inboxStart + "_" + UserEdge
)

// Users that are no services. No service has one of these names as its user's.
const (
	UserEdge   = "edge"  // nodes
	UserSetup  = "setup" // makes streams and bucket
	UserAdmin  = "admin" // tools, backups: everything in the edge's account
	UserSystem = "sys"   // of the servers themselves
	// UserService is all services, on the server inside a node.
	UserService = "service"
)

// InboxPrefix is the prefix of a user's inboxes, where the user's name is one of a
// service's form; else that of all others.
func InboxPrefix(user string) string {
	if !ValidName(user) {
		return inboxStart
	}
	return inboxStart + "_" + user
}

// IsInbox reports whether a reply subject is an inbox, of whatever user. Who answers
// with rights that the asker has not answers to nothing else.
func IsInbox(reply string) bool {
	first, rest, _ := strings.Cut(reply, ".")
	if rest == "" {
		return false
	}
	return first == inboxStart || strings.HasPrefix(first, inboxStart+"_")
}

// IsAnyInbox is IsInbox, also of what a server makes of an inbox in another account.
func IsAnyInbox(reply string) bool { return strings.HasPrefix(reply, "_R_.") || IsInbox(reply) }

// Answerable reports whether a service may answer on this reply subject: it is a
// node's, an inbox, or what a server makes of an inbox in another account. The answer
// goes out with the service's rights, wherever a question wants it.
func Answerable(reply string) bool {
	return IsRequestReply(reply) || strings.HasPrefix(reply, PrefixReply) || IsAnyInbox(reply)
}

// IsNodeInbox reports whether an answer to this subject goes to a node. What asks a
// node for a session has such a reply subject, or is no node's: the server itself can be
// made to send a message to any subject, with a reply subject of its own.
func IsNodeInbox(reply string) bool { return strings.HasPrefix(reply, NodeInbox+".") }
