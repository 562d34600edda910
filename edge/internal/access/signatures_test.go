package access

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// TestSignatureProblem: what the sender is told. Nothing is wrong with a message
// that found no room to be remembered, so that keeps the connection.
func TestSignatureProblem(t *testing.T) {
	for _, test := range []struct {
		err    error
		text   string
		code   protocol.Code
		closes bool
	}{
		{umf.ErrUnsigned, "Not a signed UMF message", protocol.CodeUnsigned, true},
		{umf.ErrBadSignature, "Invalid signed UMF message", protocol.CodeSignature, true},
		{ErrSender, "Signed UMF message is not from this connection", protocol.CodeSignature, true},
		{ErrStale, "Signed UMF message is outside the time window", protocol.CodeSignature, true},
		{ErrReplay, "Signed UMF message was sent before", protocol.CodeSignature, true},
		{ErrReplayFull, "Too many signed UMF messages within the time window", protocol.CodeOverload, false},
	} {
		text, code, closes := SignatureProblem(fmt.Errorf("wrapped: %w", test.err))
		if text != test.text || code != test.code || closes != test.closes {
			t.Errorf("%v: %q, %s, closing: %v", test.err, text, code, closes)
		}
	}
}

// TestReplayTableFull: who finds no room is told so, and not that somebody has
// sent the message before.
func TestReplayTableFull(t *testing.T) {
	keys, now := umf.NewKeys("secret"), time.Now()
	s := NewSignatures([]string{"secret"}, time.Minute, func() {})
	s.seen.limit = 1
	for i, want := range []error{nil, ErrReplayFull} {
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
		if err := s.Check(e, now, Sender{}); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("message %d: %v, want %v", i, err, want)
		}
	}
}

// TestReplay: a message counts as sent before however its mid is spelt, since
// its signature does not depend on that.
func TestReplay(t *testing.T) {
	keys, now := umf.NewKeys("secret"), time.Now()
	s := NewSignatures([]string{"secret"}, time.Minute, func() {})
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
		if err := s.Check(message(test.mid, signature), now, Sender{}); err != nil {
			t.Errorf("mid %s: %v", test.mid, err)
		}
		for _, mid := range test.as {
			if err := s.Check(message(mid, signature), now, Sender{}); !errors.Is(err, ErrReplay) {
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
