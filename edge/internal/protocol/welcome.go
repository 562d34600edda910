package protocol

import (
	"strconv"
	"time"

	"hydrant/umf"
)

// SubprotocolAck is the WebSocket subprotocol of clients that confirm messages
// themselves.
const SubprotocolAck = "umf.ack.v1"

// SubprotocolAuth begins the subprotocol that carries a token, where a browser
// can set no header.
const SubprotocolAuth = "umf.auth."

// SubprotocolResume begins the subprotocol in which a client of the second edition asks
// for its session with the handshake; see [FindResume].
const SubprotocolResume = "umf.resume."

// Welcome is the body of a connection message.
type Welcome struct {
	ID, IP    string
	Auth      []byte // raw JSON of authResponse; nil: none
	Token     string // the resume secret; "" where it was told before
	TTL       time.Duration
	Heartbeat time.Duration
	Window    int

	// Clients of the second edition are told more.
	Second  bool
	Renews  bool      // tokens can be replaced in place
	Now     time.Time // the node's clock
	User    string    // the client's identity; "": it has none
	Expires time.Time // when the client's token ends; zero: never
}

// Append appends the body for a fresh connection.
func (w *Welcome) Append(dst []byte) []byte { return append(w.appendFields(dst), '}') }

// AppendAnswer appends the body that answers a reconnect.
func (w *Welcome) AppendAnswer(dst []byte, o Outcome) []byte {
	dst = w.appendFields(dst)
	dst = append(dst, `,"resumed":`...)
	dst = strconv.AppendBool(dst, o == Resumed)
	dst = append(dst, `,"why":`...)
	if o == Resumed {
		return append(dst, "null}"...)
	}
	return append(umf.AppendString(dst, o.String()), '}')
}

func (w *Welcome) appendFields(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, w.ID...)
	dst = append(dst, `","ip":"`...)
	dst = append(dst, w.IP...)
	dst = append(dst, '"')
	if w.Auth != nil {
		dst = append(dst, `,"authResponse":`...)
		dst = append(dst, w.Auth...)
	}
	if w.Token != "" {
		dst = append(dst, `,"token":"`...)
		dst = append(dst, w.Token...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"caps":["resume","ack"`...)
	if w.Second {
		dst = append(dst, `,"accepted"`...)
		if w.Renews {
			dst = append(dst, `,"auth"`...)
		}
	}
	dst = append(dst, `],"ttl":`...)
	dst = strconv.AppendInt(dst, int64(w.TTL/time.Second), 10)
	dst = append(dst, `,"hb":`...)
	dst = strconv.AppendFloat(dst, w.Heartbeat.Seconds(), 'f', -1, 64)
	dst = append(dst, `,"win":`...)
	dst = strconv.AppendInt(dst, int64(w.Window), 10)
	if !w.Second {
		return dst
	}
	dst = strconv.AppendInt(append(dst, `,"now":`...), w.Now.UnixMilli(), 10)
	if w.User != "" {
		dst = umf.AppendString(append(dst, `,"user":`...), w.User)
	}
	if !w.Expires.IsZero() {
		dst = appendExpiry(append(dst, ','), w.Expires)
	}
	return dst
}
