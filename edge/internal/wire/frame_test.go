package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAppendHeader(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536, 1 << 31} {
		b := appendHeader(nil, 0x01, n)
		if b[0] != 0x81 {
			t.Errorf("%d: first byte %02x", n, b[0])
		}
		if got := frameLen(b); got != len(b)+n {
			t.Errorf("%d: frameLen %d, header %d", n, got, len(b))
		}
	}
}

func TestAppendCloseCutsAtRune(t *testing.T) {
	for _, c := range []struct {
		reason string
		want   int
	}{
		{"", 0},
		{strings.Repeat("x", 123), 123},
		{strings.Repeat("x", 124), 123},
		{strings.Repeat("x", 122) + "ä", 122},
		{strings.Repeat("x", 120) + "\U0001f600", 120},
	} {
		b := appendClose(nil, 1000, c.reason)
		if got := len(b) - 4; got != c.want || !utf8.Valid(b[4:]) {
			t.Errorf("%d bytes: cut to %d, want %d", len(c.reason), got, c.want)
		}
	}
	if b := appendClose(nil, CodeNoStatus, "lost"); !bytes.Equal(b, []byte{0x88, 0}) {
		t.Errorf("without a code: %x", b)
	}
}

// TestValidPrefix compares with the definition: the longest prefix of whole
// runes, and whether anything could follow that makes the text valid.
func TestValidPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := []byte(rapid.String().Draw(t, "text"))
		s = slices.Concat(s, rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "tail"))
		n, ok := validPrefix(s)
		if ok != canBecomeValid(s) {
			t.Fatalf("%x: ok %v", s, ok)
		}
		if ok && (!utf8.Valid(s[:n]) || len(s)-n >= utf8.UTFMax) {
			t.Fatalf("%x: %d bytes valid", s, n)
		}
	})
}

func canBecomeValid(s []byte) bool {
	if utf8.Valid(s) {
		return true
	}
	// One to three more bytes; the first of them decides within its range.
	for _, tail := range []string{"\x80", "\xbf", "\x90", "\x8f", "\x9f", "\xa0"} {
		for _, rest := range []string{"", "\x80", "\x80\x80"} {
			if utf8.Valid(slices.Concat(s, []byte(tail+rest))) {
				return true
			}
		}
	}
	return false
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{"", "\x81", "\x81\x85mask", "\x81\xfe\x01\x00mask", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00mask", "\xc1\x80mask"} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, deflate bool) {
		h, n, v := parseHeader(b, deflate)
		if v != nil {
			if n != 0 || v.code != CodeProtocolError {
				t.Fatalf("violation %v with n = %d", v, n)
			}
			// More bytes do not change the violation.
			if _, _, again := parseHeader(append(slices.Clone(b), 0, 0, 0), deflate); again != v {
				t.Fatalf("%v, then %v", v, again)
			}
			return
		}
		if n == 0 {
			if len(b) >= maxHeader {
				t.Fatalf("%d bytes are no header", len(b))
			}
			return
		}
		if n > len(b) || h.length < 0 || h.op.IsReserved() || h.rsv1 && !deflate {
			t.Fatalf("%x: %+v, %d", b, h, n)
		}
		if again, k, _ := parseHeader(b[:n], deflate); again != h || k != n {
			t.Fatalf("%+v is not %+v", again, h)
		}
	})
}

// FuzzConnection feeds any bytes of a client, in one piece and in two: the answers
// must be the same, and no bytes may be left behind.
func FuzzConnection(f *testing.F) {
	for _, r := range rules() {
		if len(r.send) < 200 {
			f.Add(r.send, uint16(len(r.send)/2))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		o := Options{MaxMessage: 4096, MaxFragments: 16, ControlRate: -1}
		whole, pieces := opened(t, o, echoHandler{}), opened(t, o, echoHandler{})
		whole.feed(b)
		at := min(int(cut), len(b))
		pieces.feed(b[:at])
		pieces.feed(b[at:])
		if !bytes.Equal(whole.output(), pieces.output()) {
			t.Fatalf("cut at %d: %x, whole: %x", at, pieces.output(), whole.output())
		}
		if whole.c.state != pieces.c.state {
			t.Fatalf("cut at %d: state %d, whole: %d", at, pieces.c.state, whole.c.state)
		}
		for _, x := range []*bare{whole, pieces} {
			if x.c.state >= stateDraining && x.c.in != nil {
				t.Fatal("a buffer is left")
			}
			if in := x.c.in; in != nil && len(in.msg)+len(in.stashed) > 4096+maxControlWire {
				t.Fatalf("%d + %d bytes are held", len(in.msg), len(in.stashed))
			}
		}
	})
}

// TestNoAllocations: a message in, and its echo out to the buffer, cost none.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := opened(t, Options{ControlRate: -1}, echoHandler{})
	for name, p := range map[string][]byte{
		"small":     clientFrame(text, "Hello"),
		"medium":    clientFrame(text, strings.Repeat("ä", 2000)),
		"fragments": join(clientFrame(start, "Hel"), clientFrame(ping, "p"), clientFrame(last, "lo")),
		"batch":     bytes.Repeat(clientFrame(bin, "Hello"), 50),
	} {
		run := func(p ...[]byte) float64 {
			return testing.AllocsPerRun(200, func() {
				for _, q := range p {
					b.feed(q)
				}
				b.reset()
			})
		}
		if n := run(p); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if n := run(p[:len(p)/2], p[len(p)/2:]); n != 0 {
			t.Errorf("%s in two reads: %v allocations", name, n)
		}
	}
}
