package scheme

// Headers of the scheme. Umf-* headers are set by nodes and by the store's own
// markers, never taken from a client.
const (
	// HeaderSession is the session id of the client that sent a message.
	HeaderSession = "Umf-Session"
	// HeaderMailbox is the subject that reaches that client.
	HeaderMailbox = "Umf-Mailbox"
	// HeaderIdentity is who the client proved to be; absent: none.
	HeaderIdentity = "Umf-Identity"
	// HeaderMark marks an empty message that only shows where a mailbox
	// stands; it is never shown to a client.
	HeaderMark = "Umf-Mark"
)

// HeaderWrite names one write to the directory.
const HeaderWrite = "Umf-Write"
