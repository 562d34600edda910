package edge

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// TestReplayTableFull: who finds no room is told so, and not that somebody has
// sent the message before.
func TestReplayTableFull(t *testing.T) {
	keys, now := umf.NewKeys("secret"), time.Now()
	s := newSignatures(&Config{Signature: "required", SignatureKeys: []string{"secret"}, SignatureWindow: time.Minute}, stats.New())
	s.seen.limit = 1
	for i, want := range []error{nil, errReplayFull} {
		e := new(umf.Envelope)
		for _, signature := range []string{"", "signed"} {
			if signature != "" {
				signature = keys.Sign(e)
			}
			text := fmt.Sprintf(`{"to":"a:/","frm":"b:/","mid":"%d","sig":"%s","ts":"%s","bdy":1}`, i, signature, umf.AppendTimestamp(nil, now))
			if err := umf.Scan([]byte(text), e); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.check(e, now); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("message %d: %v, want %v", i, err, want)
		}
	}
	if _, code, closes := signatureProblem(errReplayFull); code != protocol.CodeOverload || closes {
		t.Errorf("told as %s, closing: %v", code, closes)
	}
}

// TestReplay: a message counts as sent before however its mid is spelt, since
// its signature does not depend on that (HYDRA.md, "Signed messages" 5 and 6).
func TestReplay(t *testing.T) {
	keys, now := umf.NewKeys("secret"), time.Now()
	s := newSignatures(&Config{Signature: "required", SignatureKeys: []string{"secret"}, SignatureWindow: time.Minute}, stats.New())
	ts := umf.AppendTimestamp(nil, now)
	message := func(mid, signature string) *umf.Envelope {
		t.Helper()
		e := new(umf.Envelope)
		text := fmt.Sprintf(`{"to":"a:/","frm":"b:/","mid":%s,"sig":"%s","ts":"%s","bdy":1}`, mid, signature, ts)
		if err := umf.Scan([]byte(text), e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	for _, test := range []struct {
		mid string
		as  []string
	}{
		{`"abc"`, []string{`"abc"`, `"\u0061bc"`, `"\u0061b\u0063"`}},
		{`7`, []string{`7`, `7.0`, `70e-1`}},
		{`{"b":1,"1":2}`, []string{`{"b":1,"1":2}`, `{"1":2,"b":1}`, `{"b":3,"1":2,"b":1}`, `{ "b" : 1 , "1" : 2 }`}},
	} {
		signature := keys.Sign(message(test.mid, ""))
		if err := s.check(message(test.mid, signature), now); err != nil {
			t.Errorf("mid %s: %v", test.mid, err)
		}
		for _, mid := range test.as {
			if err := s.check(message(mid, signature), now); !errors.Is(err, errReplay) {
				t.Errorf("mid %s again as %s: %v", test.mid, mid, err)
			}
		}
	}
	for key := range s.seen.until {
		if len(key) > 64 {
			t.Errorf("a key of %d bytes is kept", len(key))
		}
	}
}
