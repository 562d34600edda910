package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A rule is one case of the conformance suite: the bytes that a client sends after
// the upgrade, and all that it must get. The cases follow the text of RFC 6455 and
// RFC 7692; each name has the section.
type rule struct {
	name  string
	send  []byte
	want  []serverFrame // before the close frame
	code  int           // of the close frame; 0: an empty one
	cause Drop          // why the server says that the connection ended
}

const (
	text  = 0x81
	bin   = 0x82
	ping  = 0x89
	pong  = 0x8a
	start = 0x01 // text without FIN
	more  = 0x00 // continuation without FIN
	last  = 0x80 // continuation with FIN
)

func got(first byte, payload string) serverFrame { return serverFrame{first, []byte(payload)} }

// bye ends a case that is not about closing.
var bye = clientClose(1000, "")

// hello and alive come before each violation, and must be answered.
var (
	hello = clientFrame(text, "Hello")
	alive = clientFrame(ping, "alive?")
)

// fine is a case in which everything is allowed.
func fine(name string, send []byte, want ...serverFrame) rule {
	return rule{name, join(send, bye), want, 1000, DropPeer}
}

// refused is a case in which the connection must fail: after it has answered a valid
// message and a ping, in this order, and before it answers those at the end.
func refused(name string, code int, cause Drop, send ...[]byte) rule {
	return rule{name, join(hello, alive, join(send...), clientFrame(text, "after"), alive),
		[]serverFrame{got(text, "Hello"), got(pong, "alive?")}, code, cause}
}

func rules() (list []rule) {
	list = append(list, framingRules()...)
	list = append(list, maskingRules()...)
	list = append(list, fragmentRules()...)
	list = append(list, controlRules()...)
	list = append(list, utf8Rules()...)
	return append(list, closeRules()...)
}

func framingRules() (list []rule) {
	sizes := []int{0, 1, 7, 125, 126, 127, 128, 65535, 65536, 65537, 200_000}
	for _, n := range sizes {
		s := strings.Repeat("*", n)
		list = append(list,
			fine(fmt.Sprintf("5.2 text of %d bytes", n), clientFrame(text, s), got(text, s)),
			fine(fmt.Sprintf("5.2 binary of %d bytes", n), clientFrame(bin, "\xfe"+s), got(bin, "\xfe"+s)))
	}
	for _, bits := range []byte{0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70} {
		for _, op := range []byte{text, bin, ping, pong, 0x88} {
			list = append(list, refused(fmt.Sprintf("5.2 reserved bits %02x on %02x", bits, op),
				1002, DropProtocol, clientFrame(op|bits, "x")))
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		list = append(list,
			refused(fmt.Sprintf("5.2 reserved opcode %x", op), 1002, DropProtocol, clientFrame(0x80|op, "")),
			refused(fmt.Sprintf("5.2 reserved opcode %x with payload", op), 1002, DropProtocol, clientFrame(0x80|op, "reserved")),
			refused(fmt.Sprintf("5.2 reserved opcode %x without FIN", op), 1002, DropProtocol, clientFrame(op, "reserved")))
	}
	mask := "\x01\x02\x03\x04"
	return append(list,
		refused("5.2 length 5 in 16 bits", 1002, DropProtocol, []byte("\x81\xfe\x00\x05"+mask+"Hello")),
		refused("5.2 length 125 in 16 bits", 1002, DropProtocol, []byte("\x81\xfe\x00\x7d"+mask+strings.Repeat("x", 125))),
		refused("5.2 length 5 in 64 bits", 1002, DropProtocol, []byte("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05"+mask+"Hello")),
		refused("5.2 length 65535 in 64 bits", 1002, DropProtocol, []byte("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff"+mask)),
		refused("5.2 length with its first bit set", 1002, DropProtocol, []byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x05"+mask)),
		refused("10.4 length 2^63-1", 1009, DropTooBig, []byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"+mask)),
		refused("10.4 length 16 GiB", 1009, DropTooBig, []byte("\x82\xff\x00\x00\x00\x04\x00\x00\x00\x00"+mask)),
		refused("10.4 one byte over the limit", 1009, DropTooBig, clientFrame(text, strings.Repeat("x", 1<<20+1))),
		refused("10.4 one byte over the limit in fragments", 1009, DropTooBig,
			clientFrame(start, strings.Repeat("x", 1<<19)), clientFrame(last, strings.Repeat("x", 1<<19+1))),
		fine("10.4 the limit itself", clientFrame(text, strings.Repeat("x", 1<<20)), got(text, strings.Repeat("x", 1<<20))),
		fine("5.6 ten messages at once", []byte(strings.Repeat(string(clientFrame(text, "payload")), 10)),
			repeat(got(text, "payload"), 10)...),
		fine("5.6 two thousand messages at once", []byte(strings.Repeat(string(clientFrame(text, "m")), 2000)),
			repeat(got(text, "m"), 2000)...),
	)
}

func repeat(f serverFrame, n int) []serverFrame {
	list := make([]serverFrame, n)
	for i := range list {
		list[i] = f
	}
	return list
}

func maskingRules() (list []rule) {
	for i, mask := range [][4]byte{{}, {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 1}, {0x80, 1, 2, 3}} {
		s := strings.Repeat("masked payload ", 9)
		list = append(list, fine(fmt.Sprintf("5.3 mask %d", i), clientFrameMask(text, s, mask), got(text, s)))
	}
	return append(list,
		refused("5.1 unmasked text", 1002, DropProtocol, []byte("\x81\x05Hello")),
		refused("5.1 unmasked empty text", 1002, DropProtocol, []byte("\x81\x00")),
		refused("5.1 unmasked ping", 1002, DropProtocol, []byte("\x89\x00")),
		refused("5.1 unmasked close", 1002, DropProtocol, []byte("\x88\x02\x03\xe8")),
	)
}

func fragmentRules() []rule {
	long := strings.Repeat("fragment", 500)
	return []rule{
		fine("5.4 two fragments", join(clientFrame(start, "Hel"), clientFrame(last, "lo")), got(text, "Hello")),
		fine("5.4 binary in three", join(clientFrame(0x02, "\xff"), clientFrame(more, "\xfe"), clientFrame(last, "\xfd")), got(bin, "\xff\xfe\xfd")),
		fine("5.4 all fragments empty", join(clientFrame(start, ""), clientFrame(more, ""), clientFrame(last, "")), got(text, "")),
		fine("5.4 empty but the middle", join(clientFrame(start, ""), clientFrame(more, "x"), clientFrame(last, "")), got(text, "x")),
		fine("5.4 long fragments", join(clientFrame(start, long), clientFrame(more, long), clientFrame(last, long)), got(text, long+long+long)),
		fine("5.4 ping between fragments", join(clientFrame(start, "a"), clientFrame(ping, "p"), clientFrame(last, "b")),
			got(pong, "p"), got(text, "ab")),
		fine("5.4 pings between all fragments", join(clientFrame(start, "a"), clientFrame(ping, "1"), clientFrame(more, "b"),
			clientFrame(ping, "2"), clientFrame(pong, "3"), clientFrame(last, "c")),
			got(pong, "1"), got(pong, "2"), got(text, "abc")),
		fine("5.4 a thousand fragments", []byte(string(clientFrame(start, "x"))+
			strings.Repeat(string(clientFrame(more, "x")), 998)+string(clientFrame(last, "x"))), got(text, strings.Repeat("x", 1000))),
		refused("5.4 continuation without a message, FIN", 1002, DropProtocol, clientFrame(last, "x")),
		refused("5.4 continuation without a message", 1002, DropProtocol, clientFrame(more, "x")),
		refused("5.4 continuation after a finished message", 1002, DropProtocol, clientFrame(last, ""), clientFrame(text, "x")),
		{"5.4 continuation after a fragmented message", join(clientFrame(start, "a"), clientFrame(last, "b"), clientFrame(more, "c"), hello),
			[]serverFrame{got(text, "ab")}, 1002, DropProtocol},
		refused("5.4 continuations without a message, then a fragmented one", 1002, DropProtocol,
			clientFrame(more, "x"), clientFrame(start, "a"), clientFrame(last, "b")),
		refused("5.4 text inside a message", 1002, DropProtocol, clientFrame(start, "a"), clientFrame(text, "b")),
		refused("5.4 fragmented text inside a message", 1002, DropProtocol, clientFrame(start, "a"), clientFrame(start, "b")),
		refused("5.4 binary inside a text", 1002, DropProtocol, clientFrame(start, "a"), clientFrame(bin, "b")),
		refused("5.4 reserved bit on a continuation", 1002, DropProtocol, clientFrame(start, "a"), clientFrame(0x40|last, "b")),
		refused("10.4 too many fragments", 1008, DropFragments, clientFrame(start, ""),
			[]byte(strings.Repeat(string(clientFrame(more, "")), 1024))),
	}
}

func controlRules() []rule {
	full := strings.Repeat("p", 125)
	return []rule{
		fine("5.5.2 ping without payload", clientFrame(ping, ""), got(pong, "")),
		fine("5.5.2 ping with text", clientFrame(ping, "Hello"), got(pong, "Hello")),
		fine("5.5.2 ping with binary", clientFrame(ping, "\x00\xff\xfe\xfd"), got(pong, "\x00\xff\xfe\xfd")),
		fine("5.5.2 ping of 125 bytes", clientFrame(ping, full), got(pong, full)),
		fine("5.5.2 ten pings", []byte(strings.Repeat(string(clientFrame(ping, "p")), 10)), repeat(got(pong, "p"), 10)...),
		fine("5.5.3 pong without a ping", clientFrame(pong, "unasked")),
		fine("5.5.3 pong without a ping, then a ping", join(clientFrame(pong, "unasked"), clientFrame(ping, "p")), got(pong, "p")),
		refused("5.5 ping of 126 bytes", 1002, DropProtocol, clientFrame(ping, full+"x")),
		refused("5.5 close of 126 bytes", 1002, DropProtocol, clientClose(1000, strings.Repeat("x", 124))),
		refused("5.5 fragmented ping", 1002, DropProtocol, clientFrame(0x09, "x"), clientFrame(last, "y")),
		refused("5.5 fragmented pong", 1002, DropProtocol, clientFrame(0x0a, "x"), clientFrame(last, "y")),
		refused("5.5 fragmented ping inside a message", 1002, DropProtocol, clientFrame(start, "a"), clientFrame(0x09, "x"), clientFrame(last, "y")),
		fine("5.5.3 pong inside a message", join(clientFrame(start, "a"), clientFrame(pong, "unasked"), clientFrame(last, "b")), got(text, "ab")),
		refused("5.5 fragmented close", 1002, DropProtocol, clientFrame(0x08, "\x03\xe8")),
	}
}

func closeRules() (list []rule) {
	long := strings.Repeat("r", 123)
	list = []rule{
		{"5.5.1 close without a code", clientFrame(0x88, ""), nil, 0, DropPeer},
		{"5.5.1 close with a code", clientClose(1000, ""), nil, 1000, DropPeer},
		{"5.5.1 close with a reason", clientClose(1000, "Hello \u00b5"), nil, 1000, DropPeer},
		{"5.5.1 close with the longest reason", clientClose(1000, long), nil, 1000, DropPeer},
		{"5.5.1 close of one byte", clientFrame(0x88, "\x03"), nil, 1002, DropProtocol},
		{"8.1 close with a reason that is not UTF-8", clientClose(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"), nil, 1007, DropUTF8},
		{"5.5.1 nothing after a close", join(hello, bye, hello, clientFrame(ping, "p")), []serverFrame{got(text, "Hello")}, 1000, DropPeer},
		{"5.5.1 two closes", join(bye, clientClose(1001, "")), nil, 1000, DropPeer},
		{"5.5.1 close inside a message", join(clientFrame(start, "a"), bye, clientFrame(last, "b")), nil, 1000, DropPeer},
		{"7.1.7 garbage after a close", join(bye, []byte("\xff\xff\xff\xff")), nil, 1000, DropPeer},
		{"5.5.1 a large message before the close", join(clientFrame(text, strings.Repeat("x", 256<<10)), bye),
			[]serverFrame{got(text, strings.Repeat("x", 256<<10))}, 1000, DropPeer},
		{"5.5.1 messages before the close, a ping behind it", join(clientFrame(text, strings.Repeat("x", 256<<10)), hello, bye, alive),
			[]serverFrame{got(text, strings.Repeat("x", 256<<10)), got(text, "Hello")}, 1000, DropPeer},
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		list = append(list, rule{fmt.Sprintf("7.4 code %d", code), clientClose(code, "r"), nil, int(code), DropPeer})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		list = append(list, rule{fmt.Sprintf("7.4 invalid code %d", code), clientClose(code, ""), nil, 1002, DropProtocol},
			rule{fmt.Sprintf("7.4 invalid code %d with a reason", code), clientClose(code, "r"), nil, 1002, DropProtocol})
	}
	return list
}

// TestConformance runs each case in one segment, and in pieces: how bytes are
// cut must not matter.
func TestConformance(t *testing.T) {
	transports(t, func(t *testing.T, o Options) {
		h := newRecorder(t)
		s := serve(t, o, h, nil)
		for _, r := range rules() {
			t.Run(r.name, func(t *testing.T) {
				r.check(t, s, h, func(p *peer, b []byte) { _, _ = p.Write(b) })
			})
			piece := 1
			if len(r.send) > 600 || o.TLS != nil && len(r.send) > 60 {
				piece = 997
			}
			t.Run(fmt.Sprintf("%s, by %d bytes", r.name, piece), func(t *testing.T) {
				r.check(t, s, h, func(p *peer, b []byte) {
					for piece := range slices.Chunk(b, piece) {
						if _, err := p.Write(piece); err != nil {
							return // the server has had enough
						}
					}
				})
			})
		}
	})
}

func (r *rule) check(t *testing.T, s *testServer, h *recorder, write func(*peer, []byte)) {
	p := dial(t, s)
	h.t = t
	h.conn()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		write(p, r.send)
	}()
	for _, f := range r.want {
		p.want(f.first, string(f.payload))
	}
	p.wantClose(r.code)
	_ = p.Close()
	<-sent
	code := r.code
	if code == 0 {
		code = CodeNoStatus
	}
	h.wantClosed(r.cause, code)
}
