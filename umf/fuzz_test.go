package umf

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScan compares Scan with encoding/json, which accepts the same texts but
// for depth, UTF-8, and values that are no objects.
func FuzzScan(f *testing.F) {
	d := newDice(1)
	for range 50 {
		f.Add([]byte(randomMessage(d)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var e Envelope
		err := Scan(text, &e)
		first := bytes.TrimLeft(text, " \t\r\n")
		object := len(first) > 0 && first[0] == '{'
		want := json.Valid(text) && utf8.Valid(text) && object && depthOf(text) <= MaxDepth
		if (err == nil) != want {
			t.Fatalf("Scan of %q: %v", text, err)
		}
		if err == nil {
			checkEnvelope(t, text)
			return
		}
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Reason == "" {
			t.Fatalf("Scan of %q: %#v", text, err)
		}
		if object && utf8.Valid(text) && syntax.Reason != faultReasons[faultDepth] {
			checkOffset(t, text, syntax)
		}
	})
}

// checkOffset compares the place of a fault with that of encoding/json, which reports
// the number of bytes that it has read: the wrong one is the last of them.
func checkOffset(t *testing.T, text []byte, got *SyntaxError) {
	t.Helper()
	var theirs *json.SyntaxError
	var v json.RawMessage
	if !errors.As(json.Unmarshal(text, &v), &theirs) {
		t.Fatalf("encoding/json takes %q: %v", text, got)
	}
	want := int(theirs.Offset) - 1
	if got.Reason == faultReasons[faultEnd] {
		want = int(theirs.Offset) // nothing is wrong but that there is no more
	}
	if got.Offset != want {
		t.Fatalf("%q: %v, but encoding/json: %v at %d", text, got, theirs, want)
	}
}

// depthOf returns how deep the containers of a valid JSON text are nested.
func depthOf(text []byte) int {
	depth, deepest := 0, 0
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// FuzzCanonical makes canonical text of any JSON value.
func FuzzCanonical(f *testing.F) {
	d := newDice(2)
	for range 50 {
		f.Add(randomValue(d, 5))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var e Envelope
		if Scan([]byte(`{"body":`+raw+`}`), &e) != nil || e.others > 0 {
			t.Skip("no value")
		}
		checkCanonical(t, string(e.Raw(Body)))
	})
}

// FuzzAddress reads any text as an address; every address that it reads can be written.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"svc:/", "S@svc:[GET]/p", "svc", "ech*:/", "a-b@hydra-router:/", "abc@client:/", "svc:[", "svc:[]", "@:", ":", "é:/", "svc:/\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		view, viewErr := ViewAddress([]byte(s))
		if err != viewErr || a != view.Address() {
			t.Fatalf("%q: %+v, %v; viewed %+v, %v", s, a, err, view.Address(), viewErr)
		}
		if err != nil {
			if a != (Address{}) || !errors.Is(err, ErrAddress) {
				t.Fatalf("%q: %+v, %v", s, a, err)
			}
			return
		}
		if strings.ContainsAny(a.Service+a.Instance, ".*> \t\r\n$@:\x00") || a.Service == "" || len(a.Service) > 64 || len(a.Instance) > 64 {
			t.Fatalf("%q: %+v cannot be in a subject", s, a)
		}
		if !strings.EqualFold(a.String(), s) {
			t.Fatalf("%q written as %q", s, a)
		}
		if b, err := ParseAddress(a.String()); err != nil || a != b {
			t.Fatalf("%q: %+v read back as %+v, %v", s, a, b, err)
		}
	})
}
