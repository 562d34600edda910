package umf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// Keys signs messages and verifies them with shared secrets. Immutable after
// [NewKeys], and safe for concurrent use.
type Keys struct {
	secrets [][]byte
	pool    sync.Pool // of *signer: hashers that know their key already
}

// NewKeys returns the keys that go with secrets, whose UTF-8 bytes are used.
// The first one signs; all verify, so that a secret can be replaced while
// messages that the old one signed are on the way. Empty secrets are left out,
// since everybody knows them. Without any, nothing verifies.
func NewKeys(secrets ...string) *Keys {
	k := &Keys{}
	for _, s := range secrets {
		if s != "" {
			k.secrets = append(k.secrets, []byte(s))
		}
	}
	k.pool.New = func() any {
		s := &signer{macs: make([]hash.Hash, len(k.secrets))}
		for i, secret := range k.secrets {
			s.macs[i] = hmac.New(sha256.New, secret)
		}
		return s
	}
	return k
}

// Format implements [fmt.Formatter], for every verb: it tells how many keys
// there are and nothing about them, so that they never get into a log.
func (k *Keys) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "umf.Keys(%d)", len(k.secrets)) }

// Verify checks the signature of a message, in a time that does not depend on the
// right one. It returns [ErrUnsigned], [ErrBadSignature], or nil. Afterwards
// [Envelope.AppendShort] emits the values as they were verified.
func (k *Keys) Verify(e *Envelope) error {
	if e.Falsy(Signature) {
		return ErrUnsigned
	}
	if e.Falsy(Mid) || e.Falsy(Timestamp) {
		return ErrBadSignature
	}
	var buf [2 * sha256.Size]byte
	claimed, ok := e.Text(Signature, buf[:0])
	if !ok || len(claimed) != hex.EncodedLen(sha256.Size) {
		return ErrBadSignature
	}
	s := k.signer()
	defer k.release(s)
	s.prepare(e)
	for i := range s.macs {
		if hmac.Equal(s.sum(e, i), claimed) {
			return nil
		}
	}
	return ErrBadSignature
}

// Sign returns the signature of a message by the first key, in lower-case hex;
// "" without keys. A signature that the message has already does not matter.
func (k *Keys) Sign(e *Envelope) string {
	if len(k.secrets) == 0 {
		return ""
	}
	s := k.signer()
	defer k.release(s)
	s.prepare(e)
	return string(s.sum(e, 0))
}

// maxRewritten bounds the bytes that a signer keeps between messages.
const maxRewritten = 64 << 10

func (k *Keys) signer() *signer { return k.pool.Get().(*signer) }

func (k *Keys) release(s *signer) {
	if cap(s.rewritten) > maxRewritten {
		s.rewritten = nil
	}
	k.pool.Put(s)
}

// signer hashes the signed text of one message. Values that are canonical as
// they were received are hashed where they are; the others are written anew.
type signer struct {
	// Of the keys.
	macs []hash.Hash

	// Of the message in hand.
	parts     [fieldCount]part
	rewritten []byte // canonical form of those values that had another

	// Scratch space.
	pending []byte // to be hashed: small writes cost more than copying
	digest  [sha256.Size]byte
	text    [2 * sha256.Size]byte
}

// part says how a field is hashed: not at all, by its value as received, or by a
// part of signer.rewritten.
type part struct {
	kind       partKind
	start, end int
}

type partKind uint8

const (
	absent partKind = iota
	received
	rewritten
)

// prepare decides for each field how it is hashed.
func (s *signer) prepare(e *Envelope) {
	s.rewritten = s.rewritten[:0]
	for _, f := range signed {
		raw := e.Raw(f)
		switch {
		case Falsy(raw):
			s.parts[f] = part{kind: absent}
		case isCanonical(raw):
			s.parts[f] = part{kind: received}
		default:
			start := len(s.rewritten)
			s.rewritten = e.appendCanonicalField(s.rewritten, f, raw)
			s.parts[f] = part{rewritten, start, len(s.rewritten)}
		}
	}
}

// sum returns the signature by key i in hex, valid until the next call.
func (s *signer) sum(e *Envelope, i int) []byte {
	mac := s.macs[i]
	mac.Reset()
	s.pending = s.pending[:0]
	before := byte('{')
	for _, f := range signed {
		p := s.parts[f]
		if p.kind == absent && f != Version {
			continue
		}
		s.pending = append(s.pending, before)
		before = ','
		s.pending = append(s.pending, fieldNames[f].longMember...)
		switch p.kind {
		case absent:
			s.pending = append(s.pending, `"`+CurrentVersion+`"`...)
		case received:
			s.write(mac, e.Raw(f))
		case rewritten:
			s.write(mac, s.rewritten[p.start:p.end])
		}
	}
	s.pending = append(s.pending, '}')
	mac.Write(s.pending)
	hex.Encode(s.text[:], mac.Sum(s.digest[:0]))
	return s.text[:]
}

// maxCopied is the length up to which a value is copied next to its neighbours and
// not hashed by itself.
const maxCopied = 512

// write hashes value, now or together with the next ones.
func (s *signer) write(mac hash.Hash, value []byte) {
	if len(value) <= maxCopied {
		s.pending = append(s.pending, value...)
		return
	}
	mac.Write(s.pending)
	mac.Write(value)
	s.pending = s.pending[:0]
}
