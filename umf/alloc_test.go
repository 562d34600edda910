package umf

import (
	"strings"
	"testing"
	"time"
)

// TestAllocations holds the package to its documentation: no step that every message
// takes on its way through a node allocates.
func TestAllocations(t *testing.T) {
	var (
		e, long, odd, signed, unordered Envelope
		dst                             = make([]byte, 0, 16<<10)
		via                             = []byte(`"0a1b-abcd@hydra-router:/"`)
		keys                            = NewKeys("newer", "k")
		now                             = time.Now()
		shortText, longText             = []byte(benchShort), []byte(benchLong)
		oddText                         = []byte(`{"\u0074o":"a\u002f:\/","x":1,"fr\u006fm":"b:/","x":2,"y\n":[1,{"a":"\ud800"}],"body":{"b":1.50,"1":2,"b":3}}`)
	)
	scan := func(text []byte, e *Envelope) {
		if err := Scan(text, e); err != nil {
			t.Fatal(err)
		}
	}
	scan(longText, &long)
	scan(oddText, &odd)
	sign := func(text string, e *Envelope) {
		scan([]byte(text), e)
		scan(e.AppendShort(nil, Set{Signature, AppendString(nil, NewKeys("k").Sign(e))}), e)
	}
	sign(benchShort, &signed)
	sign(strings.Replace(benchShort, `"bdy":{`, `"bdy": {"7":1.0,"user":0,`, 1), &unordered)
	tests := []struct {
		name string
		pool bool // uses a sync.Pool
		f    func()
	}{
		{"Scan short", false, func() { scan(shortText, &e) }},
		{"Scan long", false, func() { scan(longText, &e) }},
		{"Scan odd", false, func() { scan(oddText, &e) }},
		{"Check", false, func() {
			if err := long.Check(); err != nil {
				t.Fatal(err)
			}
		}},
		{"Falsy", false, func() { long.Falsy(Body); odd.Falsy(Body) }},
		{"Text", false, func() { long.Text(To, nil); odd.Text(To, dst[:0]) }},
		{"AppendShort, spliced", false, func() { dst = signed.AppendShort(dst[:0], Set{Via, via}, Set{Mid, via}) }},
		{"AppendShort, rewritten", false, func() { dst = long.AppendShort(dst[:0], Set{Via, via}) }},
		{"AppendShort, odd", false, func() { dst = odd.AppendShort(dst[:0], Set{Via, via}) }},
		{"AppendString", false, func() { dst = AppendString(dst[:0], "a\n\u00e9\xff") }},
		{"AppendMid", false, func() { dst = AppendMid(dst[:0]) }},
		{"AppendTimestamp", false, func() { dst = AppendTimestamp(dst[:0], now) }},
		{"ParseAddress", false, func() { ParseAddress("S@svc:[GET]/p") }},
		{"ViewAddress", false, func() { ViewAddress(shortText[7:24]) }},
		{"ViewAddress, bad", false, func() { ViewAddress(oddText) }},
		{"AppendAddress", false, func() { dst = AppendAddress(dst[:0], Address{"S", "svc", "GET", "/p"}) }},
		{"AppendCanonical", false, func() { dst = long.AppendCanonical(dst[:0]) }},
		{"AppendCanonical, odd", true, func() { dst = odd.AppendCanonical(dst[:0]) }},
		{"Verify", true, func() {
			if err := keys.Verify(&signed); err != nil {
				t.Fatal(err)
			}
		}},
		{"Verify, rewritten", true, func() {
			if err := keys.Verify(&unordered); err != nil {
				t.Fatal(err)
			}
		}},
		{"AppendShort, verified", true, func() { dst = unordered.AppendShort(dst[:0]) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.pool && raceEnabled {
				t.Skip("the race detector empties pools")
			}
			if n := testing.AllocsPerRun(100, test.f); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
