package umf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Messages as clients send them. benchShort has about 300 bytes.
const (
	benchShort = `{"to":"auth-svc:/v1/login","frm":"ezqmkq7kkcwzmz3nqpvt5yvbfu@client:/",` +
		`"mid":"ef5a7369-f0b9-4143-a49d-2b9c7ee51117","ts":"2026-01-12T20:16:29.157Z",` +
		`"typ":"login","ver":"UMF/1.4.6","bdy":{"user":"jane","device":{"os":"linux",` +
		`"screen":[1920,1080]},"note":"remember me, please","retry":0}}`
	benchLong = `{"to":"auth-svc:/v1/login","from":"ezqmkq7kkcwzmz3nqpvt5yvbfu@client:/",` +
		`"mid":"ef5a7369-f0b9-4143-a49d-2b9c7ee51117","timestamp":"2026-01-12T20:16:29.157Z",` +
		`"type":"login","version":"UMF/1.4.6","body":{"user":"jane","device":{"os":"linux",` +
		`"screen":[1920,1080]},"note":"remember me, please","retry":0}}`
)

// withBody returns a short message with body in it.
func withBody(body string) []byte {
	return []byte(`{"to":"svc:/","frm":"client:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":` + body + `}`)
}

var benchMessages = []struct {
	name string
	text []byte
}{
	{"300B", []byte(benchShort)},
	{"300Blong", []byte(benchLong)},
	{"text8K", withBody(`"` + strings.Repeat("The quick brown fox jumps. ", 300) + `"`)},
	{"numbers8K", withBody(`[` + strings.TrimSuffix(strings.Repeat(`1,22,333.5,-4,`, 600), ",") + `]`)},
	{"objects8K", withBody(`[` + strings.TrimSuffix(strings.Repeat(`{"id":17,"name":"x","ok":true},`, 270), ",") + `]`)},
	{"cyrillic8K", withBody(`"` + strings.Repeat("привет, мир ", 400) + `"`)},
}

func BenchmarkScan(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			var e Envelope
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Scan(m.text, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
func BenchmarkCanonical(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			var e Envelope
			Scan(m.text, &e)
			var dst []byte
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = e.AppendCanonical(dst[:0])
			}
		})
	}
}
func BenchmarkVerify(b *testing.B) {
	keys := NewKeys("key")
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			var e Envelope
			Scan(m.text, &e)
			t := e.AppendShort(nil, Set{Signature, AppendString(nil, keys.Sign(&e))})
			Scan(t, &e)
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := keys.Verify(&e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
func BenchmarkMid(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendMid(dst[:0])
	}
}
func BenchmarkTS(b *testing.B) {
	var dst []byte
	n := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendTimestamp(dst[:0], n)
	}
}
func BenchmarkValid(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			b.SetBytes(int64(len(m.text)))
			for b.Loop() {
				json.Valid(m.text)
			}
		})
	}
}
func BenchmarkShort(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			var e Envelope
			Scan(m.text, &e)
			var dst []byte
			via := []byte(`"asdkjfalskdjfaskdjflkasdjf@hydra-router:/"`)
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = e.AppendShort(dst[:0], Set{Via, via})
			}
		})
	}
}
