package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"hydrant/edge/internal/wire"
)

// echoHandler answers every message with itself.
type echoHandler struct{}

func (echoHandler) Upgrade(*wire.Request) (wire.Accept, error) { return wire.Accept{}, nil }
func (echoHandler) Open(*wire.Conn)                            {}
func (echoHandler) Pong(*wire.Conn, []byte)                    {}
func (echoHandler) Writable(*wire.Conn)                        {}
func (echoHandler) Closed(*wire.Conn, wire.CloseReason)        {}
func (echoHandler) Flush(*wire.Loop)                           {}
func (echoHandler) Stalled(*wire.Loop, time.Duration)          {}
func (echoHandler) Message(c *wire.Conn, text bool, p []byte) {
	if text {
		c.Send(p)
		return
	}
	c.SendBinary(p)
}

// serveEcho runs an echo server on each transport.
func serveEcho(t *testing.T, o wire.Options, f func(t *testing.T, addr string)) {
	for _, transport := range []wire.Transport{"", wire.TransportConn} {
		t.Run("transport="+string(transport), func(t *testing.T) {
			o := o
			o.Transport = transport
			server, err := wire.NewServer(o, echoHandler{}, http.NotFoundHandler())
			if err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(ln) }()
			f(t, ln.Addr().String())
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := server.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			<-served
		})
	}
}

const handshake = "GET /any HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// frame builds a client frame: first is FIN, RSV and opcode.
func frame(first byte, payload string) []byte {
	return appendMasked([]byte{first}, payload)
}

func appendMasked(b []byte, payload string) []byte {
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// dialRaw upgrades; what follows the handshake goes out in the same segment.
func dialRaw(t *testing.T, addr string, following []byte) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append([]byte(handshake), following...)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("handshake answered with %v", response)
	}
	return conn, r
}

// readFrame reads one server frame as "opcode payload"; a close frame as
// "close CODE", the end of the stream as "EOF".
func readFrame(r *bufio.Reader) string {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err.Error()
	}
	n := uint64(head[1])
	var ext [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(r, ext[6:]); err != nil {
			return err.Error()
		}
		n = binary.BigEndian.Uint64(ext[:])
	case 127:
		if _, err := io.ReadFull(r, ext[:]); err != nil {
			return err.Error()
		}
		n = binary.BigEndian.Uint64(ext[:])
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return err.Error()
	}
	if op := head[0] & 15; op == 8 {
		if n < 2 {
			return "close"
		}
		return fmt.Sprintf("close %d", binary.BigEndian.Uint16(payload))
	}
	return fmt.Sprintf("%x %s", head[0], payload)
}

// TestRFC6455 sends bytes and compares all frames that come back.
func TestRFC6455(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	closing := func(code uint16, reason string) []byte {
		return frame(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, test := range []struct {
		name string
		send []byte
		want []string
	}{
		{"§5.6 text", join(frame(0x81, "hello"), closing(1000, "")), []string{"81 hello", "close 1000"}},
		{"§5.6 binary", join(frame(0x82, "\x00\xff"), closing(1000, "")), []string{"82 \x00\xff", "close 1000"}},
		{"§5.2 64-bit length", join(frame(0x81, long), closing(1000, "")), []string{"81 " + long, "close 1000"}},
		{"§5.4 fragments with a ping between", join(frame(0x01, "a"), frame(0x89, "p"), frame(0x00, "b"), frame(0x80, "c"), closing(1000, "")),
			[]string{"8a p", "81 abc", "close 1000"}},
		{"§5.5.1 close without a code", frame(0x88, ""), []string{"close"}},
		{"§5.5.1 close code 1005", closing(1005, ""), []string{"close 1002"}},
		{"§5.5.1 close reason not UTF-8", closing(1000, "\xff"), []string{"close 1007"}},
		{"§5.1 unmasked", join(frame(0x81, "first"), []byte{0x81, 1, 'x'}), []string{"81 first", "close 1002"}},
		{"§5.2 RSV1 without an extension", frame(0xc1, "x"), []string{"close 1002"}},
		{"§5.2 reserved opcode", frame(0x83, "x"), []string{"close 1002"}},
		{"§5.2 length not minimal", []byte{0x81, 0x80 | 126, 0, 1, 1, 2, 3, 4, 'x' ^ 1}, []string{"close 1002"}},
		{"§5.2 length with the top bit", []byte{0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []string{"close 1002"}},
		{"§5.4 continuation of nothing", frame(0x80, "x"), []string{"close 1002"}},
		{"§5.4 text inside a message", join(frame(0x01, "a"), frame(0x81, "b")), []string{"close 1002"}},
		{"§5.5 fragmented ping", frame(0x09, "x"), []string{"close 1002"}},
		{"§5.5 ping of 126 bytes", frame(0x89, strings.Repeat("p", 126)), []string{"close 1002"}},
		{"§8.1 text not UTF-8", join(frame(0x81, "good"), frame(0x81, "bad\xff")), []string{"81 good", "close 1007"}},
		{"§8.1 fails in the first bad fragment", frame(0x01, "\xed\xa0\x80"), []string{"close 1007"}},
		{"§8.1 rune over two fragments", join(frame(0x01, "\xc3"), frame(0x80, "\xbc"), closing(1000, "")), []string{"81 ü", "close 1000"}},
		{"§7.4.1 too big by its header", []byte{0x82, 0xff, 0, 0, 0, 4, 0, 0, 0, 0, 1, 2, 3, 4}, []string{"close 1009"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			serveEcho(t, wire.Options{MaxMessage: 1 << 20}, func(t *testing.T, addr string) {
				conn, r := dialRaw(t, addr, test.send)
				defer conn.Close() // or the server waits for it
				for _, want := range test.want {
					if got := readFrame(r); got != want {
						t.Fatalf("got %.80q, want %.80q", got, want)
					}
				}
				if got := readFrame(r); got != "EOF" {
					t.Errorf("after the close frame: %q", got)
				}
			})
		})
	}
}

// TestHandshakeLimits: P8, P9.
func TestHandshakeLimits(t *testing.T) {
	serveEcho(t, wire.Options{HandshakeTimeout: 200 * time.Millisecond}, func(t *testing.T, addr string) {
		for name, test := range map[string]struct{ send, want string }{
			"endless header": {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 9000), "431"},
			"silence":        {"GET / HT", ""},
			"plain HTTP":     {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "404"},
		} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, test.send); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(conn) // until the server closes; a reset is an end, too
			if !strings.Contains(string(answer), test.want) {
				t.Errorf("%s: %q, want status %s", name, answer, test.want)
			}
		}
	})
}
