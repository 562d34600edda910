package edge

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"hydrant/umf"
)

// Conditions that clients are told about; problem.code is their name on the wire.
var (
	errTooLarge = errors.New("edge: message too large")
	errNotUMF   = errors.New("edge: to, frm or bdy is missing")
	errBusy     = errors.New("edge: too many operations under way")
)

// noSender leaves frm out of a message: a pong has none in the original.
var noSender = []byte{}

// outgoing is a message of the edge itself, before it is text.
type outgoing struct {
	to      string
	from    []byte // raw JSON; nil: the router on this node; empty: none
	toRaw   []byte // raw JSON instead of to
	headers []byte // raw JSON
	rmid    []byte // raw JSON of the mid it answers; nil: none
	typ     string
	body    []byte // raw JSON
}

// append writes the message in short form, keys in the order of HYDRA.md, with
// a fresh mid and timestamp.
func (m outgoing) append(dst []byte, w *worker) []byte {
	dst = append(dst, `{"to":`...)
	if m.toRaw != nil {
		dst = append(dst, m.toRaw...)
	} else {
		dst = umf.AppendString(dst, m.to)
	}
	from := m.from
	if from == nil {
		from = w.node.fromRouter
	}
	if len(from) > 0 {
		dst = append(dst, `,"frm":`...)
		dst = append(dst, from...)
	}
	if m.headers != nil {
		dst = append(dst, `,"hdr":`...)
		dst = append(dst, m.headers...)
	}
	dst = append(dst, `,"mid":"`...)
	dst = umf.AppendMid(dst)
	dst = append(dst, '"')
	if m.rmid != nil {
		dst = append(dst, `,"rmid":`...)
		dst = append(dst, m.rmid...)
	}
	dst = append(dst, `,"ts":"`...)
	dst = umf.AppendTimestamp(dst, time.Now())
	dst = append(dst, '"')
	if m.typ != "" {
		dst = append(dst, `,"typ":`...)
		dst = umf.AppendString(dst, m.typ)
	}
	dst = append(dst, `,"ver":"`+umf.CurrentVersion+`","bdy":`...)
	dst = append(dst, m.body...)
	return append(dst, '}')
}

// appendSequenceHeader writes headers with x-seq and x-prev: DESIGN §3.2. What
// a sender put there itself loses, as the last of two equal keys counts.
func appendSequenceHeader(dst, headers []byte, seq, prev uint64) []byte {
	dst = append(dst, '{')
	if len(headers) > 2 && headers[0] == '{' {
		inner := trimSpace(headers[1 : len(headers)-1])
		if len(inner) > 0 {
			dst = append(dst, inner...)
			dst = append(dst, ',')
		}
	}
	dst = append(dst, `"x-seq":"`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `","x-prev":"`...)
	dst = strconv.AppendUint(dst, prev, 10)
	return append(dst, `"}`...)
}

func trimSpace(b []byte) []byte {
	space := func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// Outcomes of a resume, as the welcome tells them.
const (
	notResumed = iota // a fresh connection: nothing is said
	resumed
	resumeExpired
	resumeToken
	resumeIdentity
)

var resumeWhy = [...]string{resumed: "", resumeExpired: "expired", resumeToken: "token", resumeIdentity: "identity"}

// welcomeBody is the body of the connection message.
type welcomeBody struct {
	ID, IP    string
	Auth      []byte // raw JSON
	Token     string
	TTL       time.Duration
	Heartbeat time.Duration
	Window    int
	Resume    int
}

func (b welcomeBody) append(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, b.ID...)
	dst = append(dst, `","ip":"`...)
	dst = append(dst, b.IP...)
	dst = append(dst, '"')
	if b.Auth != nil {
		dst = append(dst, `,"authResponse":`...)
		dst = append(dst, b.Auth...)
	}
	if b.Token != "" {
		dst = append(dst, `,"token":"`...)
		dst = append(dst, b.Token...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"caps":["resume","ack"],"ttl":`...)
	dst = strconv.AppendInt(dst, int64(b.TTL/time.Second), 10)
	dst = append(dst, `,"hb":`...)
	dst = strconv.AppendFloat(dst, b.Heartbeat.Seconds(), 'f', -1, 64)
	dst = append(dst, `,"win":`...)
	dst = strconv.AppendInt(dst, int64(b.Window), 10)
	if b.Resume != notResumed {
		dst = append(dst, `,"resumed":`...)
		dst = strconv.AppendBool(dst, b.Resume == resumed)
		dst = append(dst, `,"why":`...)
		if why := resumeWhy[b.Resume]; why != "" {
			dst = umf.AppendString(dst, why)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// newToken returns a resume secret of 256 random bits.
func newToken() string {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

// hashToken is what the directory keeps of a token.
func hashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

func tokenMatches(token string, hash []byte) bool {
	want := hashToken(token)
	return len(hash) > 0 && subtle.ConstantTimeCompare(want[:], hash) == 1
}

func randomUint64() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return binary.LittleEndian.Uint64(b[:])
}
