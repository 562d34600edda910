package edge

import (
	"crypto/sha256"
	"errors"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// Conditions of the replay window.
var (
	errStale      = errors.New("edge: signed message outside the time window")
	errReplay     = errors.New("edge: signed message repeated")
	errReplayFull = errors.New("edge: too many signed messages to tell which are repeated")
)

// maxReplayMids bounds the mids that the replay window remembers on a node.
const maxReplayMids = 1 << 18

// signatures checks signed messages: DESIGN §7. Safe for concurrent use.
type signatures struct {
	keys   *umf.Keys
	window time.Duration
	seen   *recent
}

func newSignatures(cfg *Config, m *stats.Metrics) *signatures {
	if cfg.Signature != "required" {
		return nil
	}
	s := &signatures{keys: umf.NewKeys(cfg.SignatureKeys...), window: cfg.SignatureWindow}
	if s.window > 0 {
		s.seen = newRecent(maxReplayMids, m.Dropped.Counting(stats.DropReplayTable))
	}
	return s
}

// check verifies what came in, before anything is changed.
func (s *signatures) check(e *umf.Envelope, now time.Time) error {
	if err := s.keys.Verify(e); err != nil {
		return err
	}
	if s.window <= 0 {
		return nil
	}
	var buf [64]byte
	text, _ := e.Text(umf.Timestamp, buf[:0])
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || at.Before(now.Add(-s.window)) || at.After(now.Add(s.window)) {
		return errStale
	}
	return s.seen.add(replayKey(e), now, 2*s.window)
}

// replayKey stands for a mid in the form that was signed: who repeats a message
// can spell its mid in other ways, which the signature covers as well. It is
// short however long the mid is.
func replayKey(e *umf.Envelope) string {
	var buf [bus.MaxMid]byte
	sum := sha256.Sum256(e.AppendCanonicalField(buf[:0], umf.Mid))
	return string(sum[:])
}

// signatureProblem is what the sender is told, and whether the connection ends
// with it: not if nothing is wrong with the message.
func signatureProblem(err error) (text string, code protocol.Code, closes bool) {
	switch {
	case errors.Is(err, umf.ErrUnsigned):
		return "Not a signed UMF message", protocol.CodeUnsigned, true
	case errors.Is(err, errStale):
		return "Signed UMF message is outside the time window", protocol.CodeSignature, true
	case errors.Is(err, errReplay):
		return "Signed UMF message was sent before", protocol.CodeSignature, true
	case errors.Is(err, errReplayFull):
		return "Too many signed UMF messages within the time window", protocol.CodeOverload, false
	}
	return "Invalid signed UMF message", protocol.CodeSignature, true
}
