package umf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// One message of about 300 bytes in both forms.
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

// benchMessages is that one, and some of 8 KB with bodies of one kind.
var benchMessages = []struct {
	name string
	text []byte
}{
	{"short300", []byte(benchShort)},
	{"long300", []byte(benchLong)},
	{"text8K", withBody(`"` + strings.Repeat("The quick brown fox jumps. ", 300) + `"`)},
	{"cyrillic8K", withBody(`"` + strings.Repeat("привет, мир ", 400) + `"`)},
	{"numbers8K", withBody(`[0` + strings.Repeat(`,1,22,333.5,-4`, 600) + `]`)},
	{"objects8K", withBody(`[{}` + strings.Repeat(`,{"id":17,"name":"x","ok":true}`, 270) + `]`)},
}

// withBody returns a short message with body in it.
func withBody(body string) []byte {
	return []byte(`{"to":"svc:/","frm":"client:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":` + body + `}`)
}

func BenchmarkScan(b *testing.B) {
	forMessages(b, func(b *testing.B, text []byte) {
		var e Envelope
		for b.Loop() {
			if err := Scan(text, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkScanRatio times Scan in turns with json.Valid, which does less, and
// reports how many times as fast Scan is. That figure means something on a
// machine that is busy with other work, too; nanoseconds there do not.
func BenchmarkScanRatio(b *testing.B) {
	forMessages(b, func(b *testing.B, text []byte) {
		const round = 32 // so that reading the clock does not count
		var e Envelope
		var ours, theirs time.Duration
		for b.Loop() {
			start := time.Now()
			for range round {
				if err := Scan(text, &e); err != nil {
					b.Fatal(err)
				}
			}
			middle := time.Now()
			for range round {
				if !json.Valid(text) {
					b.Fatal("not valid")
				}
			}
			ours += middle.Sub(start)
			theirs += time.Since(middle)
		}
		b.SetBytes(0) // of both together they would say nothing
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(theirs)/float64(ours), "x-json.Valid")
	})
}

// BenchmarkAppendShort puts a via into each message: spliced in where it is
// short already.
func BenchmarkAppendShort(b *testing.B) {
	via := []byte(`"00112233445566778899aabbccddeeff-ezqmkq7kkcwzmz3nqpvt5yvbfu@hydra-router:/"`)
	forMessages(b, func(b *testing.B, text []byte) {
		e := mustScan(b, string(text))
		var dst []byte
		for b.Loop() {
			dst = e.AppendShort(dst[:0], Set{Via, via})
		}
	})
}

func BenchmarkAppendCanonical(b *testing.B) {
	forMessages(b, func(b *testing.B, text []byte) {
		e := mustScan(b, string(text))
		var dst []byte
		for b.Loop() {
			dst = e.AppendCanonical(dst[:0])
		}
	})
}

// BenchmarkRewrite makes canonical text of messages that are not canonical, so
// that nothing can be copied.
func BenchmarkRewrite(b *testing.B) {
	forMessages(b, func(b *testing.B, text []byte) {
		body := mustScan(b, string(text)).Raw(Body)
		var dst []byte
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			dst, _ = appendCanonicalValue(dst[:0], body)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	keys := NewKeys("a secret of usual length")
	forMessages(b, func(b *testing.B, text []byte) {
		e := mustScan(b, string(text))
		e = mustScan(b, string(e.AppendShort(nil, Set{Signature, AppendString(nil, keys.Sign(e))})))
		for b.Loop() {
			if err := keys.Verify(e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkViewAddress(b *testing.B) {
	address := []byte("ezqmkq7kkcwzmz3nqpvt5yvbfu@auth-svc:[POST]/v1/login")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ViewAddress(address); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMid(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendMid(dst[:0])
	}
}

func forMessages(b *testing.B, f func(b *testing.B, text []byte)) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			f(b, m.text)
		})
	}
}
