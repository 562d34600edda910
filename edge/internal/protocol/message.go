package protocol

import (
	"strconv"
	"time"

	"hydrant/umf"
)

// Types of messages between a client and the node.
const (
	TypeConnection = "connection" // to the client: the welcome, and the answer to reconnect
	TypeError      = "error"      // to the client
	TypeGap        = "gap"        // to the client
	TypePong       = "pong"       // to the client
	TypeAccepted   = "accepted"   // to the client

	TypePing      = "ping"      // to the node
	TypeLog       = "log"       // to the node
	TypeLocate    = "wsdir.loc" // to the node, and its answer
	TypeReconnect = "reconnect" // to the node
	TypeAck       = "ack"       // to the node
	TypeAuth      = "auth"      // to the node

	// TypeReconnection is reconnect as Hydra Router's documentation calls it.
	TypeReconnection = "reconnection"
)

// AnyClient is the address of an error: whoever holds the connection.
const AnyClient = "client:/"

// ClientAddress returns the address of a session.
func ClientAddress(sid string) string { return sid + "@client:/" }

// AppendVia appends, as JSON, the address by which a service reaches a session.
// All parts are names, so that nothing needs an escape.
func AppendVia(dst []byte, node, sid, service string) []byte {
	dst = append(dst, '"')
	dst = append(dst, node...)
	dst = append(dst, '-')
	dst = append(dst, sid...)
	dst = append(dst, '@')
	dst = append(dst, service...)
	return append(dst, `:/"`...)
}

// NoSender leaves frm out of a message: Hydra Router's pong has none.
var NoSender = []byte{}

// Message is a message of the node itself, before it is text.
type Message struct {
	To      string // an address
	ToRaw   []byte // raw JSON instead of To
	From    []byte // raw JSON; nil: the router on this node; NoSender: none
	Headers []byte // raw JSON; nil: none
	RMid    []byte // raw JSON of the mid that it answers; nil: none
	Type    string // "": none
	Body    []byte // raw JSON
}

// Append appends the message in short form, with a fresh mid and the timestamp
// now. Keys are in Hydra Router's order. router is the address of the router on
// this node, as [AppendRouter] makes it.
func (m *Message) Append(dst, router []byte, now time.Time) []byte {
	dst = append(dst, `{"to":`...)
	if m.ToRaw != nil {
		dst = append(dst, m.ToRaw...)
	} else {
		dst = umf.AppendString(dst, m.To)
	}
	from := m.From
	if from == nil {
		from = router
	}
	if len(from) > 0 {
		dst = append(dst, `,"frm":`...)
		dst = append(dst, from...)
	}
	if m.Headers != nil {
		dst = append(dst, `,"hdr":`...)
		dst = append(dst, m.Headers...)
	}
	dst = append(dst, `,"mid":"`...)
	dst = umf.AppendMid(dst)
	dst = append(dst, '"')
	if m.RMid != nil {
		dst = append(dst, `,"rmid":`...)
		dst = append(dst, m.RMid...)
	}
	dst = append(dst, `,"ts":"`...)
	dst = umf.AppendTimestamp(dst, now)
	dst = append(dst, '"')
	if m.Type != "" {
		dst = append(dst, `,"typ":`...)
		dst = umf.AppendString(dst, m.Type)
	}
	dst = append(dst, `,"ver":"`+umf.CurrentVersion+`","bdy":`...)
	dst = append(dst, m.Body...)
	return append(dst, '}')
}

// PongBody is the body of the answer to a ping.
const PongBody = `{"typ":"pong"}`

// AppendError appends the body of an error: a code for programs and a sentence
// for people.
func AppendError(dst []byte, code Code, text string) []byte {
	dst = umf.AppendString(append(dst, `{"error":`...), text)
	dst = umf.AppendString(append(dst, `,"code":`...), code.String())
	return append(dst, '}')
}

// AppendRetry adds to the body of an error, which ends body, when the message may
// be sent again (milliseconds).
func AppendRetry(body []byte, after time.Duration) []byte {
	body = append(body[:len(body)-1], `,"retry":`...)
	return append(strconv.AppendInt(body, after.Milliseconds(), 10), '}')
}

// AppendNoInstances appends the body that answers a [METHOD] request to a
// service that does not run. Hydra Router says it with a reason, and not with an
// error; the code is for programs, as in an error.
func AppendNoInstances(dst []byte, service string) []byte {
	dst = umf.AppendString(append(dst, `{"reason":`...), "Unavailable "+service+" instances")
	dst = umf.AppendString(append(dst, `,"code":`...), CodeNoInstances.String())
	return append(dst, '}')
}

// AppendAccepted appends the body of accepted. expires is when the token ends that was
// taken; zero: never, or it was no token.
func AppendAccepted(dst []byte, expires time.Time) []byte {
	if expires.IsZero() {
		return append(dst, "{}"...)
	}
	return append(appendExpiry(append(dst, '{'), expires), '}')
}

// appendExpiry appends the member that tells when a token ends.
func appendExpiry(dst []byte, at time.Time) []byte {
	return strconv.AppendInt(append(dst, `"exp":`...), at.UnixMilli(), 10)
}

// AppendGap appends the body of a gap, whose ends are both lost. why is one of
// the words in the package's documentation, lost how many messages it stands for; 0:
// that is not known.
func AppendGap(dst []byte, from, to uint64, why string, lost int) []byte {
	dst = append(dst, `{"from":"`...)
	dst = strconv.AppendUint(dst, from, 10)
	dst = append(dst, `","to":"`...)
	dst = strconv.AppendUint(dst, to, 10)
	dst = umf.AppendString(append(dst, `","why":`...), why)
	if lost > 0 {
		dst = strconv.AppendInt(append(dst, `,"lost":`...), int64(lost), 10)
	}
	return append(dst, '}')
}

// AppendLocation appends the body that answers wsdir.loc. node is empty for a
// session that no socket holds.
func AppendLocation(dst []byte, node, sid string) []byte {
	dst = umf.AppendString(append(dst, `{"routerID":`...), node)
	dst = umf.AppendString(append(dst, `,"clientID":`...), sid)
	return append(dst, '}')
}
