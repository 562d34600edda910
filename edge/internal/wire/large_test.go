package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fragmented is a message in frames of size bytes each.
func fragmented(first byte, payload string, size int) []byte {
	var b []byte
	op := first &^ 0x80
	for len(payload) > size {
		b = append(b, clientFrame(op, payload[:size])...)
		op, payload = more, payload[size:]
	}
	return append(b, clientFrame(op|0x80, payload)...)
}

// TestLarge: large messages, in one frame, in very many, and in small pieces.
func TestLarge(t *testing.T) {
	mega := 1 << 20
	if raceEnabled {
		mega = 1 << 17 // the detector makes each byte of the test's own masking slow
	}
	transports(t, func(t *testing.T, o Options) {
		o.MaxMessage, o.MaxFragments = int64(16*mega), 1<<17
		s := serve(t, o, newRecorder(t), nil)
		check := func(name string, first byte, payload string, frame, piece int) {
			t.Run(fmt.Sprintf("%s of %d bytes in frames of %d, pieces of %d", name, len(payload), frame, piece), func(t *testing.T) {
				p := dial(t, s)
				b := append(fragmented(first, payload, frame), bye...)
				sent := make(chan error, 1)
				go func() {
					for part := range slices.Chunk(b, piece) {
						if _, err := p.Write(part); err != nil {
							sent <- err
							return
						}
					}
					sent <- nil
				}()
				p.want(first, payload)
				p.wantClose(1000)
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
		long := strings.Repeat("κόσμε, ", 16*mega/12)
		for _, size := range []int{mega, 4 * mega, 16*mega - 1000} {
			cut := strings.ToValidUTF8(long[:size], "")
			check("text", text, cut, len(cut), len(cut)+100)
			check("binary", bin, strings.Repeat("\xfe", size), size, size+100)
		}
		for _, frame := range []int{64, 64 << 10} {
			check("text", text, strings.Repeat("*", 4*mega), frame, 5*mega) // 64: 65,536 frames
			check("binary", bin, strings.Repeat("\xfe", 4*mega), frame, 5*mega)
		}
		for _, piece := range []int{64, 2048} {
			check("text", text, strings.ToValidUTF8(long[:mega/4], ""), mega, piece)
		}
	})
}

// deflateSizes are the messages of TestDeflateFragments.
var deflateSizes = []int{16, 64, 256, 4096, 16384, 131072}

// TestDeflateFragments: compressed messages of many sizes, in fragments of many
// sizes, from clients that have asked for all kinds of parameters.
func TestDeflateFragments(t *testing.T) {
	var json strings.Builder
	for i := 0; json.Len() < deflateSizes[len(deflateSizes)-1]; i++ {
		fmt.Fprintf(&json, `{"id":%d,"name":"user %d","score":%d.%d},`, i, i*7919%1000, i%17, i*31%97)
	}
	squeezed := make([]string, len(deflateSizes))
	for i, size := range deflateSizes {
		squeezed[i] = squeeze(t, json.String()[:size])
	}
	offers := []string{
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=9; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=15; server_no_context_takeover; client_no_context_takeover",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=8, permessage-deflate; server_no_context_takeover, permessage-deflate",
		"x-unknown; a=1, permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=10",
	}
	bits := []int{15, 15, 9, 15, 9, 15, 8, 10}
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		s := serve(t, o, newRecorder(t), nil)
		for i, offer := range offers {
			t.Run(offer, func(t *testing.T) {
				p := dialRaw(t, s)
				p.send([]byte(upgradeRequest("Sec-WebSocket-Extensions: " + offer)))
				answer := p.wantUpgraded().Header.Get("Sec-WebSocket-Extensions")
				if asked := fmt.Sprintf("server_max_window_bits=%d", bits[i]); strings.Contains(offer, asked) != strings.Contains(answer, asked) {
					t.Fatalf("answer %q", answer)
				}
				for k, size := range deflateSizes {
					if bits[i] < 15 && size > 16384 {
						break // expand would take long, piece by piece
					}
					m := json.String()[:size]
					for _, frame := range []int{1 << 20, 256, 4096} {
						p.send(fragmented(deflated, squeezed[k], frame))
						f, err := p.frame()
						if err != nil {
							t.Fatal(err)
						}
						got := string(f.payload)
						if f.first == deflated {
							got = expand(t, got, bits[i])
						} else if f.first != text || size > 256 {
							t.Fatalf("%d bytes: %v", size, f)
						}
						if got != m {
							t.Fatalf("%d bytes in frames of %d: not the same", size, frame)
						}
					}
				}
				p.send(bye)
				p.wantClose(1000)
			})
		}
	})
}

// TestWindowOfWriter checks expand with another compressor: it must notice a window
// that is too large.
func TestWindowOfWriter(t *testing.T) {
	var random [600]byte
	x := uint32(1)
	for i := range random {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	m := string(bytes.Repeat(random[:], 3)) // repeats at a distance of 600
	var f inflater
	for _, c := range []struct {
		bits    uint8
		shorter bool
	}{{9, false}, {10, true}, {0, true}} {
		parts, ok := f.deflate([][]byte{[]byte(m)}, c.bits)
		if ok != c.shorter {
			t.Errorf("%d bits: compressed: %v", c.bits, ok)
		}
		if ok {
			if out, v := new(inflater).inflate(parts[0], 1<<20); v != nil || string(out) != m {
				t.Errorf("%d bits: %v", c.bits, v)
			}
		}
	}
}
