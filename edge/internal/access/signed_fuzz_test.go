package access

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"hydrant/umf"
)

// FuzzSigned: what a signature was checked for is what goes on, as every reader reads
// it; and a message that its signer has not seen does not pass with a signature of
// another.
func FuzzSigned(f *testing.F) {
	for _, text := range []string{
		`{"to":"a:/","frm":"b:/","mid":"m","ts":"2026-01-12T12:00:00.000Z","bdy":{"amount":1}}`,
		`{"to":"a:/","from":"b:/","mid":"m","timestamp":"2026-01-12T12:00:00.000Z","body":{"a":1,"a":2},"bdy":{"a":3}}`,
		`{"to":"\u0061:/","frm":"b:/","mid":"m","ts":"2026-01-12T12:00:00.000Z","bdy":1.0,"to":"c:/"}`,
	} {
		f.Add([]byte(text), []byte(`{"to":"a:/","frm":"b:/","mid":"m","ts":"2026-01-12T12:00:00.000Z","bdy":{"amount":1000000}}`))
	}
	keys := umf.NewKeys("a secret of the test")
	checked := NewSignatures([]string{"a secret of the test"}, 0, func() {})
	f.Fuzz(func(t *testing.T, text, other []byte) {
		signed := sign(keys, text)
		if signed == nil {
			return
		}
		e := new(umf.Envelope)
		if umf.Scan(signed, e) != nil || checked.Check(e, time.Time{}, Sender{}) != nil {
			return // not every message can be signed
		}
		canonical := e.AppendCanonical(nil)
		forwarded := e.AppendShort(nil)
		again := new(umf.Envelope)
		if err := umf.Scan(forwarded, again); err != nil {
			t.Fatalf("%q goes on as %q: %v", signed, forwarded, err)
		}
		if got := again.AppendCanonical(nil); !bytes.Equal(got, canonical) {
			t.Errorf("%q was checked, and %q goes on", canonical, got)
		}
		var reader map[string]json.RawMessage
		if err := json.Unmarshal(forwarded, &reader); err != nil || !bytes.Equal(reader["bdy"], again.Raw(umf.Body)) {
			t.Errorf("%q: another reader has the body %s, %v", forwarded, reader["bdy"], err)
		}
		// The same signature over another message.
		forged := new(umf.Envelope)
		if umf.Scan(other, forged) != nil {
			return
		}
		moved := forged.AppendShort(nil, umf.Set{Field: umf.Signature, Raw: e.Raw(umf.Signature)})
		if umf.Scan(moved, forged) == nil && checked.Check(forged, time.Time{}, Sender{}) == nil && !bytes.Equal(forged.AppendCanonical(nil), canonical) {
			t.Errorf("the signature of %q is taken for %q", canonical, moved)
		}
	})
}

// sign puts a signature into a message; nil: it is none.
func sign(keys *umf.Keys, text []byte) []byte {
	e := new(umf.Envelope)
	if umf.Scan(text, e) != nil || e.Check() != nil {
		return nil
	}
	return e.AppendShort(nil, umf.Set{Field: umf.Signature, Raw: umf.AppendString(nil, keys.Sign(e))})
}
