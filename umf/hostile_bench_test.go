package umf

import (
	"fmt"
	"strings"
	"testing"
)

// hostileBodies holds values of about 1 MiB that are meant to be as expensive as
// a sender can make them.
func hostileBodies() map[string]string {
	object := func(n int, format string, arg func(i int) int) string {
		var s strings.Builder
		s.WriteString(`{"":0`)
		for i := range n {
			fmt.Fprintf(&s, format, arg(i))
		}
		return s.String() + "}"
	}
	const size = 1 << 20
	return map[string]string{
		"names":     object(90_000, `,"k%x":0`, func(i int) int { return i }),
		"integers":  object(110_000, `,"%d":0`, func(i int) int { return 110_000 - i }),
		"one name":  object(size/6, `,"%x":0`, func(int) int { return 10 }),
		"objects":   "[0" + strings.Repeat(`,{"1":1,"a":1,"0":1}`, size/20) + "]",
		"nested":    strings.Repeat(`{"a":0,"1":`, MaxDepth-2) + `"` + strings.Repeat("x", size) + `"` + strings.Repeat("}", MaxDepth-2),
		"growing":   "[0" + strings.Repeat(",1e20", size/5) + "]",
		"fractions": "[0" + strings.Repeat(",1."+strings.Repeat("1", 700)+"e-300", size/707) + "]",
		"one digit": strings.Repeat("1", size),
		"escapes":   `"` + strings.Repeat(`\u0041`, size/6) + `"`,
	}
}

func BenchmarkHostileScan(b *testing.B) {
	for name, body := range hostileBodies() {
		b.Run(name, func(b *testing.B) {
			var e Envelope
			text := withBody(body)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := Scan(text, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHostileCanonical(b *testing.B) {
	for name, body := range hostileBodies() {
		b.Run(name, func(b *testing.B) {
			e := mustScan(b, string(withBody(body)))
			var dst []byte
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				dst = e.AppendCanonical(dst[:0])
			}
		})
	}
}

// BenchmarkHostileUnknown emits a message of which every key is unknown.
func BenchmarkHostileUnknown(b *testing.B) {
	text := hostileBodies()["names"]
	e := mustScan(b, text)
	var dst []byte
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		dst = e.AppendShort(dst[:0])
	}
}
