package scheme

import (
	"strconv"
	"strings"
)

// Headers of the scheme. Umf-* headers are set by nodes and by the store's own
// markers, never taken from a client.
const (
	// HeaderSession is the session id of the client that sent a message.
	HeaderSession = "Umf-Session"
	// HeaderMailbox is the subject that reaches that client.
	HeaderMailbox = "Umf-Mailbox"
	// HeaderIdentity is who the client proved to be; absent: none.
	HeaderIdentity = "Umf-Identity"
	// HeaderStatus makes an answer to a [METHOD] request one of HTTP, with this status:
	// its payload is the body, and its headers are those of the answer.
	HeaderStatus = "Umf-Status"
	// HeaderReason and HeaderAttempts say why work was given up, by the code of the
	// failure, and after how many attempts.
	HeaderReason   = "Umf-Reason"
	HeaderAttempts = "Umf-Attempts"
	// HeaderMark marks an empty message that only shows where a mailbox
	// stands; it is never shown to a client.
	HeaderMark = "Umf-Mark"
	// HeaderHolder says who sent a marker: see [HolderText].
	HeaderHolder = "Umf-Holder"
)

// HeadersOfNodes is what the names of headers begin with, in lower case, that only
// nodes set.
const HeadersOfNodes = "umf-"

// HeaderWrite names one write to the directory.
const HeaderWrite = "Umf-Write"

// HolderText is the holder of a session, as its directory entry names it, and
// the number of its client's connection: what [HeaderHolder] says.
func HolderText(holder, attempt uint64) string {
	b := make([]byte, 0, 42)
	b = strconv.AppendUint(b, holder, 10)
	return string(strconv.AppendUint(append(b, ' '), attempt, 10))
}

// ParseHolder is the inverse of [HolderText].
func ParseHolder(s string) (holder, attempt uint64, ok bool) {
	first, second, _ := strings.Cut(s, " ")
	holder, err1 := strconv.ParseUint(first, 10, 64)
	attempt, err2 := strconv.ParseUint(second, 10, 64)
	if err1 != nil || err2 != nil || HolderText(holder, attempt) != s {
		return 0, 0, false
	}
	return holder, attempt, true
}
