package access

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// ErrStale: a signed message is older or newer than the window, or has no
// timestamp to tell by.
var ErrStale = errors.New("access: signed message outside the time window")

// ErrSender: a signed message came over a connection that is not its sender's. It may
// be a copy.
var ErrSender = errors.New("access: signed message of another connection")

// maxReplayMids bounds the mids that one [Signatures] remembers.
const maxReplayMids = 1 << 18

// Signatures checks signed messages. Safe for concurrent use.
type Signatures struct {
	keys   *umf.Keys
	window time.Duration
	seen   *Replay // nil: there is no window
	own    bool    // from must name the session of the connection
}

// Sender is whose connection a signed message came over.
type Sender struct {
	Session string // "": it was posted
	// Own says that from must name that session. It was chosen by the server, so that
	// a copy is worthless on any other connection. Old clients sign another from.
	Own bool
}

// NewSignatures takes messages that any of the secrets has signed. With a window
// above zero it refuses those that are older or newer, and repeated ones; full is
// called for each that finds no room to be remembered.
func NewSignatures(secrets []string, window time.Duration, full func()) *Signatures {
	s := &Signatures{keys: umf.NewKeys(secrets...), window: window}
	if window > 0 {
		s.seen = NewReplay(maxReplayMids, full)
	}
	return s
}

// OnlySessions has every message name the session of its connection, and so refuses
// what is posted, and what old clients sign.
func (s *Signatures) OnlySessions() *Signatures {
	s.own = true
	return s
}

// Check verifies a message as it came in, before anything of it is changed. It
// fails with an error of [umf.Keys.Verify], [ErrSender], [ErrStale], [ErrReplay] or
// [ErrReplayFull].
func (s *Signatures) Check(e *umf.Envelope, now time.Time, by Sender) error {
	if err := s.keys.Verify(e); err != nil {
		return err
	}
	if !s.sentBy(e, by) {
		return ErrSender // a copy must not use up the mid
	}
	if s.window <= 0 {
		return nil
	}
	var buf [64]byte
	text, _ := e.Text(umf.Timestamp, buf[:0])
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || at.Before(now.Add(-s.window)) || at.After(now.Add(s.window)) {
		return ErrStale
	}
	return s.seen.Add(replayKey(e), now, 2*s.window)
}

// sentBy reports whether a message may come over a connection: it names the session
// there, or none and need not. What names another session is a copy, wherever it
// comes.
func (s *Signatures) sentBy(e *umf.Envelope, by Sender) bool {
	var buf [128]byte
	from, _ := e.Text(umf.From, buf[:0])
	session := ""
	if a, err := umf.ViewAddress(from); err == nil && string(a.Service) == scheme.ClientService {
		session = string(a.Instance)
	}
	if session == "" {
		return !s.own && !by.Own
	}
	return session == by.Session
}

// Once is the name under which all nodes know that a message was sent, and for how
// long they must; 0: they need not, since there is no window. It is to be asked for
// after [Signatures.Check], and before the signature is taken away.
func (s *Signatures) Once(e *umf.Envelope) (name string, keep time.Duration) {
	if s.window <= 0 {
		return "", 0
	}
	var buf [128]byte
	h := sha256.New()
	h.Write(e.AppendCanonicalField(buf[:0], umf.Mid))
	signature, _ := e.Text(umf.Signature, buf[:0])
	h.Write(signature)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24]), 2 * s.window
}

// SignatureProblem turns an error of [Signatures.Check] into what its sender is
// told. closes says whether the connection ends with it: not if nothing is wrong
// with the message.
func SignatureProblem(err error) (text string, code protocol.Code, closes bool) {
	switch {
	case errors.Is(err, umf.ErrUnsigned):
		return "Not a signed UMF message", protocol.CodeUnsigned, true
	case errors.Is(err, ErrStale):
		return "Signed UMF message is outside the time window", protocol.CodeSignature, true
	case errors.Is(err, ErrSender):
		return "Signed UMF message is not from this connection", protocol.CodeSignature, true
	case errors.Is(err, ErrReplay):
		return "Signed UMF message was sent before", protocol.CodeSignature, true
	case errors.Is(err, ErrReplayFull):
		return "Too many signed UMF messages within the time window", protocol.CodeOverload, false
	}
	return "Invalid signed UMF message", protocol.CodeSignature, true
}

// replayKey stands for a mid in the form that was signed: whoever repeats a
// message can spell its mid in other ways, which the signature covers as well. It
// is short however long the mid is.
func replayKey(e *umf.Envelope) string {
	var buf [128]byte // for any mid that a node lets through
	sum := sha256.Sum256(e.AppendCanonicalField(buf[:0], umf.Mid))
	return string(sum[:])
}
