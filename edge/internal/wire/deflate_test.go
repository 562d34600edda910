package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

// squeeze compresses as a client does (RFC 7692 §7.2.1), at a level that the
// server does not use.
func squeeze(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// finished is s as a stream of its own, which ends with a final block.
func finished(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	deflated     = 0x40 | text
	deflatedBin  = 0x40 | bin
	deflatedHead = 0x40 | start
)

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// deflateRules are RFC 7692's. The server answers short messages uncompressed.
func deflateRules(t testing.TB) (list []rule) {
	list = []rule{
		// The examples of §7.2.3, by their bytes.
		fine("7692 7.2.3.1 one block", clientFrame(deflated, unhex("f2 48 cd c9 c9 07 00")), got(text, "Hello")),
		fine("7692 7.2.3.1 in two fragments", join(clientFrame(deflatedHead, unhex("f2 48 cd")), clientFrame(last, unhex("c9 c9 07 00"))), got(text, "Hello")),
		fine("7692 7.2.3.3 block without compression", clientFrame(deflated, unhex("00 05 00 fa ff 48 65 6c 6c 6f 00")), got(text, "Hello")),
		fine("7692 7.2.3.4 final block", clientFrame(deflated, unhex("f3 48 cd c9 c9 07 00 00")), got(text, "Hello")),
		fine("7692 7.2.3.4 final block without the byte behind it", clientFrame(deflated, unhex("f3 48 cd c9 c9 07 00")), got(text, "Hello")),
		fine("7692 7.2.3.4 blocks behind a final one", clientFrame(deflated, finished(t, "Hello ")+squeeze(t, "world")), got(text, "Hello world")),
		fine("7692 7.2.3.4 three final blocks", clientFrame(deflated, finished(t, "a")+finished(t, "b")+finished(t, "c")+"\x00"), got(text, "abc")),
		fine("7692 7.2.3.4 a final block in each fragment", join(clientFrame(deflatedHead, finished(t, "Hello ")), clientFrame(last, finished(t, "world"))), got(text, "Hello world")),
		fine("7692 7.2.3.4 a final block without compression, and more", clientFrame(deflated, unhex("01 05 00 fa ff 48 65 6c 6c 6f")+squeeze(t, " again")), got(text, "Hello again")),
		refused("7692 7.2.3.4 nonsense behind a final block", 1007, DropDeflate, clientFrame(deflated, finished(t, "Hello")+"\xff\xff\xff\xff")),
		refused("10.4 final blocks without end", 1007, DropDeflate, clientFrame(deflated, strings.Repeat(finished(t, ""), 1000))),
		refused("10.4 too big behind a final block", 1009, DropTooBig, clientFrame(deflated, finished(t, "x")+squeeze(t, strings.Repeat("x", 1<<20)))),
		fine("7692 7.2.3.5 two blocks", clientFrame(deflated, unhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")), got(text, "Hello")),
		fine("7692 7.2.3.6 empty message", clientFrame(deflated, "\x00"), got(text, "")),
		fine("7692 6 uncompressed, though agreed", clientFrame(text, "Hello"), got(text, "Hello")),
		fine("7692 6 compressed binary", clientFrame(deflatedBin, squeeze(t, "\xff\xfe")), got(bin, "\xff\xfe")),
		fine("7692 6 ping between the fragments", join(clientFrame(deflatedHead, unhex("f2 48 cd")), clientFrame(ping, "p"),
			clientFrame(last, unhex("c9 c9 07 00"))), got(pong, "p"), got(text, "Hello")),
		fine("7692 6 an empty fragment at the end", join(clientFrame(deflatedHead, unhex("f2 48 cd c9 c9 07 00")), clientFrame(last, "")), got(text, "Hello")),
		fine("7692 7.2.2 messages do not depend on each other",
			bytes.Repeat(clientFrame(deflated, unhex("f2 48 cd c9 c9 07 00")), 3), repeat(got(text, "Hello"), 3)...),
		refused("7692 6.1 compressed ping", 1002, DropProtocol, clientFrame(0x40|ping, "")),
		refused("7692 6.1 compressed close", 1002, DropProtocol, clientFrame(0xc8, "")),
		refused("7692 6.1 bit on a continuation", 1002, DropProtocol, clientFrame(deflatedHead, "\xf2"), clientFrame(0x40|last, "\x48")),
		refused("5.2 RSV2 beside it", 1002, DropProtocol, clientFrame(0x60|text, "")),
		refused("7692 7.2.2 not DEFLATE", 1007, DropDeflate, clientFrame(deflated, "\xff\xff\xff\xff")),
		refused("7692 7.2.2 a reference before the start", 1007, DropDeflate, clientFrame(deflated, unhex("f2 00 11 00 00"))),
		refused("8.1 not UTF-8 when inflated", 1007, DropUTF8, clientFrame(deflated, squeeze(t, "ok\xff"))),
		refused("8.1 not UTF-8 when inflated, in fragments", 1007, DropUTF8,
			clientFrame(deflatedHead, squeeze(t, "ok\xff")), clientFrame(last, "")),
		refused("10.4 a bomb", 1009, DropTooBig, clientFrame(deflated, squeeze(t, strings.Repeat("\x00", 4<<20)))),
		refused("10.4 one byte over the limit, inflated", 1009, DropTooBig, clientFrame(deflated, squeeze(t, strings.Repeat("x", 1<<20+1)))),
	}
	return list
}

const offerDeflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

func TestDeflateConformance(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		for _, r := range append(deflateRules(t), framingRules()[:12]...) {
			if strings.Contains(r.name, "bytes") {
				continue // long ones come back compressed: see below
			}
			t.Run(r.name, func(t *testing.T) {
				p := dial(t, s, offerDeflate)
				h.conn()
				go func() { _, _ = p.Write(r.send) }()
				for _, f := range r.want {
					p.want(f.first, string(f.payload))
				}
				p.wantClose(r.code)
				h.wantClosed(r.cause, r.code)
			})
		}
	})
}

// TestDeflateEcho: a compressed echo inflates to the message that was sent, and
// reaches back no farther than the client allows (RFC 7692 §7.1.2.1).
func TestDeflateEcho(t *testing.T) {
	random := make([]byte, 20_000)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	messages := []string{
		"", "short", strings.Repeat("*", deflateMin), strings.Repeat("abc", 1000), strings.Repeat("0123456789abcdef", 8<<10),
		fmt.Sprint(framingRules()[:3]), string(random), strings.Repeat(string(random[:700]), 100),
	}
	transports(t, func(t *testing.T, o Options) {
		o.Compression = true
		s := serve(t, o, newRecorder(t), nil)
		for _, bits := range []int{8, 9, 12, 15, 16} { // 16: not asked for
			offer := "Sec-WebSocket-Extensions: permessage-deflate"
			if bits < 16 {
				offer = fmt.Sprintf("%s; server_max_window_bits=%d", offer, bits)
			}
			p := dialRaw(t, s)
			p.send([]byte(upgradeRequest(offer)))
			answer := p.wantUpgraded().Header.Get("Sec-WebSocket-Extensions")
			want := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
			if bits < 16 {
				want += fmt.Sprintf("; server_max_window_bits=%d", bits)
			}
			if answer != want {
				t.Fatalf("answer %q, want %q", answer, want)
			}
			for i, m := range messages {
				p.send(clientFrame(deflatedBin, squeeze(t, m)))
				f, err := p.frame()
				if err != nil {
					t.Fatalf("%d bits, message %d: %v", bits, i, err)
				}
				payload := string(f.payload)
				if f.first == deflatedBin {
					if len(payload) >= len(m) {
						t.Errorf("%d bits, message %d: %d bytes became %d", bits, i, len(m), len(payload))
					}
					payload = expand(t, payload, min(bits, 15))
				} else if f.first != bin {
					t.Fatalf("%d bits, message %d: %v", bits, i, f)
				}
				if payload != m {
					t.Fatalf("%d bits, message %d: not the same", bits, i)
				}
				if want := i >= 2 && i < 6; i < 7 && want != (f.first == deflatedBin) {
					t.Errorf("%d bits, message %d: first byte %02x", bits, i, f.first)
				}
			}
		}
	})
}

// expand inflates, and fails the test if a reference reaches farther back than
// the window.
func expand(t testing.TB, p string, bits int) string {
	t.Helper()
	var f inflater
	out, v := f.inflate([]byte(p), 1<<30)
	if v != nil {
		t.Fatal(v)
	}
	if bits == 15 {
		return string(out)
	}
	// Behind each sync flush of a window's worth of data, a fresh inflater must
	// be able to go on by itself: then nothing reaches back over it.
	var again []byte
	for _, block := range strings.SplitAfter(p, "\x00\x00\xff\xff") {
		part, v := new(inflater).inflate([]byte(strings.TrimSuffix(block, "\x00\x00\xff\xff")), 1<<30)
		if v != nil || len(part) > 1<<bits {
			return string(out) // the marker occurs in the data: no statement
		}
		again = append(again, part...)
	}
	if !bytes.Equal(again, out) {
		t.Error("a reference reaches over the window")
	}
	return string(out)
}

func TestNotAgreed(t *testing.T) {
	s := serve(t, Options{}, newRecorder(t), nil)
	p := dial(t, s, offerDeflate)
	p.send(clientFrame(deflated, unhex("f2 48 cd c9 c9 07 00")))
	p.wantClose(1002)
}

// TestDeflateParts: Send's parts are one message, compressed or not.
func TestDeflateParts(t *testing.T) {
	var f inflater
	a, b := bytes.Repeat([]byte("a"), 500), bytes.Repeat([]byte("b"), 300)
	parts, ok := f.deflate([][]byte{a, nil, b}, 0)
	if !ok || len(parts) != 1 {
		t.Fatal("not compressed")
	}
	out, v := new(inflater).inflate(parts[0], 1000)
	if v != nil || string(out) != string(a)+string(b) {
		t.Errorf("%v, %d bytes", v, len(out))
	}
}

func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "\x00", unhex("f2 48 cd c9 c9 07 00"), unhex("f3 48 cd c9 c9 07 00 00")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x inflater
		first, v := x.inflate(b, 1000)
		if v == nil && len(first) > 1000 {
			t.Fatalf("%d bytes", len(first))
		}
		kept := bytes.Clone(first)
		if second, w := x.inflate(b, 1000); w != v || !bytes.Equal(second, kept) {
			t.Fatal("not the same the second time")
		}
		x.used = false
		x.trim()
		if second, w := x.inflate(b, 1000); w != v || !bytes.Equal(second, kept) {
			t.Fatal("not the same after a trim")
		}
	})
}

func TestDeflateTrim(t *testing.T) {
	var f inflater
	if _, v := f.inflate([]byte(squeeze(t, strings.Repeat("x", 1<<20))), 2<<20); v != nil {
		t.Fatal(v)
	}
	if cap(f.out) < 1<<20 {
		t.Fatal("no buffer to trim")
	}
	f.trim()
	if cap(f.out) > inflatedKept || f.reader == nil {
		t.Errorf("%d bytes are kept, reader %v", cap(f.out), f.reader)
	}
	f.trim()
	if f.reader != nil {
		t.Error("kept without use")
	}
}
