package umf

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

type rapidDice struct{ *rapid.T }

func (d rapidDice) intN(n int) int { return rapid.IntRange(0, n-1).Draw(d.T, "n") }

// checkEnvelope asserts the properties of every message that Scan accepts.
func checkEnvelope(t tester, text []byte) {
	t.Helper()
	e := mustScan(t, string(text))
	short := e.AppendShort(nil)
	again := mustScan(t, string(short))
	if got := again.AppendShort(nil); !bytes.Equal(got, short) {
		t.Fatalf("%s\nsent on as %s\nand again  %s", text, short, got)
	}
	if e.IsShort() && !bytes.Equal(short, bytes.Trim(text, " \t\r\n")) {
		t.Fatalf("%s: is short, sent on as %s", text, short)
	}
	for f := range fieldCount {
		if !bytes.Equal(e.Raw(f), again.Raw(f)) {
			t.Fatalf("%s: %v is %s, sent on as %s", text, f, e.Raw(f), again.Raw(f))
		}
		if e.Has(f) != (e.Raw(f) != nil) || e.Has(f) && !json.Valid(e.Raw(f)) {
			t.Fatalf("%s: %v is %s", text, f, e.Raw(f))
		}
	}
	canonical := e.AppendCanonical(nil)
	if got := again.AppendCanonical(nil); !bytes.Equal(got, canonical) {
		t.Fatalf("%s\nis signed as %s\nsent on   as %s", text, canonical, got)
	}
	m := mustParse(t, string(text))
	kept, err := m.AppendShort(nil)
	if err != nil {
		t.Fatalf("%s: as a Message: %v", text, err)
	}
	if got := mustScan(t, string(kept)).AppendCanonical(nil); !bytes.Equal(got, canonical) {
		t.Fatalf("%s\nis signed as %s\nas Message   %s", text, canonical, got)
	}
}

func TestEnvelopeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := randomMessage(rapidDice{t})
		if !json.Valid([]byte(text)) {
			t.Fatalf("the test wrote what is not JSON: %s", text)
		}
		checkEnvelope(t, []byte(text))
	})
}

// TestRandomMessages is TestEnvelopeProperties with many more messages, since
// it need not be able to shrink them.
func TestRandomMessages(t *testing.T) {
	d := newDice(17)
	for range 5000 {
		checkEnvelope(t, []byte(randomMessage(d)))
		checkCanonical(t, randomValue(d, 5))
	}
}

// TestVerifyProperties signs random messages, sends them on and verifies them.
func TestVerifyProperties(t *testing.T) {
	keys := NewKeys("k")
	rapid.Check(t, func(t *rapid.T) {
		e := mustScan(t, randomMessage(rapidDice{t}))
		if e.Falsy(Mid) || e.Falsy(Timestamp) {
			t.Skip("cannot be signed")
		}
		signature := AppendString(nil, keys.Sign(e))
		e = mustScan(t, string(e.AppendShort(nil, Set{Signature, signature})))
		if err := keys.Verify(e); err != nil {
			t.Fatalf("%s: %v", e.text, err)
		}
		next := mustScan(t, string(e.AppendShort(nil)))
		if err := keys.Verify(next); err != nil || next.repeats != 0 {
			t.Fatalf("%s\nsent on as %s: %v, twice in %b", e.text, next.text, err, next.repeats)
		}
	})
}

// checkCanonical asserts the properties of the canonical text of every value.
func checkCanonical(t tester, raw string) {
	t.Helper()
	text := canonicalOf(t, raw)
	if again := canonicalOf(t, text); again != text {
		t.Fatalf("%s\nis      %s\nis made %s", raw, text, again)
	}
	// encoding/json reads the same from both, but for numbers beyond a double.
	var before, after any
	if json.Unmarshal([]byte(raw), &before) != nil {
		return
	}
	if err := json.Unmarshal([]byte(text), &after); err != nil {
		t.Fatalf("%s\nis %s: %v", raw, text, err)
	}
	if !reflect.DeepEqual(before, after) && !mergesSurrogates(raw) {
		t.Fatalf("%s\nis %s", raw, text)
	}
}

// mergesSurrogates reports whether a text may have keys that encoding/json
// takes for equal, since it makes U+FFFD of every lone surrogate.
func mergesSurrogates(raw string) bool {
	return bytes.Contains(bytes.ToLower([]byte(raw)), []byte(`\ud`))
}

func TestCanonicalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkCanonical(t, randomValue(rapidDice{t}, 5))
	})
}

func TestAddressProperties(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	rapid.Check(t, func(t *rapid.T) {
		a := Address{Service: name.Draw(t, "service")}
		if rapid.Bool().Draw(t, "has an instance") {
			a.Instance = name.Draw(t, "instance")
		}
		if rapid.Bool().Draw(t, "has a method") {
			a.Method = rapid.StringMatching(`[A-Z]{1,32}`).Draw(t, "method")
		}
		a.Path = rapid.StringMatching(`/[ -~é😀]{0,100}`).Draw(t, "path")
		if got, err := ParseAddress(a.String()); got != a || err != nil {
			t.Fatalf("%s read as %+v, %v", a, got, err)
		}
	})
}
