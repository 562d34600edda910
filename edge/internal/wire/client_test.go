package wire

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// peer is the client's side of a connection, byte by byte.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dialRaw connects, and speaks TLS if the server does.
func dialRaw(t testing.TB, s *testServer) *peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return wrap(t, s, nc)
}

func wrap(t testing.TB, s *testServer, nc net.Conn) *peer {
	if s.o.TLS != nil {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &peer{nc, t, bufio.NewReaderSize(nc, 64<<10)}
}

// testKey and testAccept are RFC 6455 §1.3's example.
const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// upgradeRequest is a request for an upgrade, with further field lines.
func upgradeRequest(lines ...string) string {
	return "GET /chat?x=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + testKey + "\r\n" +
		strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// dial connects and upgrades.
func dial(t testing.TB, s *testServer, lines ...string) *peer {
	t.Helper()
	p := dialRaw(t, s)
	p.send([]byte(upgradeRequest(lines...)))
	p.wantUpgraded()
	return p
}

func (p *peer) wantUpgraded() *http.Response {
	p.t.Helper()
	r := p.response()
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != testAccept {
		p.t.Fatalf("answer to the upgrade: %v %v", r.Status, r.Header)
	}
	return r
}

func (p *peer) response() *http.Response {
	p.t.Helper()
	r, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatalf("no response: %v", err)
	}
	return r
}

// wantStatus reads a response and then the end of the stream.
func (p *peer) wantStatus(status int) *http.Response {
	p.t.Helper()
	r := p.response()
	if r.StatusCode != status {
		p.t.Errorf("status %v, want %d", r.Status, status)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	p.wantEnd()
	return r
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// serverFrame is a frame as the client receives it.
type serverFrame struct {
	first   byte
	payload []byte
}

func (f serverFrame) String() string {
	p := f.payload
	if len(p) > 40 {
		return fmt.Sprintf("%02x %q… (%d bytes)", f.first, p[:40], len(p))
	}
	return fmt.Sprintf("%02x %q", f.first, p)
}

// frame reads a frame and checks what RFC 6455 asks of every server's.
func (p *peer) frame() (serverFrame, error) {
	var h [10]byte
	if _, err := io.ReadFull(p.r, h[:2]); err != nil {
		return serverFrame{}, err
	}
	n := uint64(h[1])
	switch {
	case n == 126:
		if _, err := io.ReadFull(p.r, h[2:4]); err != nil {
			return serverFrame{}, err
		}
		if n = uint64(binary.BigEndian.Uint16(h[2:])); n < 126 {
			return serverFrame{}, errors.New("length not minimal")
		}
	case n == 127:
		if _, err := io.ReadFull(p.r, h[2:]); err != nil {
			return serverFrame{}, err
		}
		if n = binary.BigEndian.Uint64(h[2:]); n <= 0xffff || n > 1<<30 {
			return serverFrame{}, errors.New("length not minimal, or absurd")
		}
	case n > 127:
		return serverFrame{}, errors.New("masked frame from the server")
	}
	f := serverFrame{h[0], make([]byte, n)}
	_, err := io.ReadFull(p.r, f.payload)
	return f, err
}

// want reads a frame and compares it.
func (p *peer) want(first byte, payload string) {
	p.t.Helper()
	f, err := p.frame()
	if err != nil {
		p.t.Fatalf("no frame: %v; want %02x %q", err, first, payload)
	}
	if f.first != first || string(f.payload) != payload {
		p.t.Fatalf("frame %v, want %v", f, serverFrame{first, []byte(payload)})
	}
}

// wantClose reads a close frame with the code, 0 for none, and then the end
// of the stream.
func (p *peer) wantClose(code int) {
	p.t.Helper()
	f, err := p.frame()
	if err != nil {
		p.t.Fatalf("no close frame: %v; want %d", err, code)
	}
	got := 0
	if len(f.payload) >= 2 {
		got = int(binary.BigEndian.Uint16(f.payload))
	}
	if f.first != 0x88 || got != code || len(f.payload) == 1 {
		p.t.Fatalf("frame %v, want close with %d", f, code)
	}
	p.wantEnd()
}

// wantEnd reads the orderly end of the stream: no byte more, and no reset.
func (p *peer) wantEnd() {
	p.t.Helper()
	if n, err := p.r.Read(make([]byte, 1)); err != io.EOF || n != 0 {
		p.t.Fatalf("%d bytes more, err %v; want the end of the stream", n, err)
	}
}

// wantGone reads until the stream ends in any way.
//
//lint:ignore U1000 for the tests of closing and of slow peers
func (p *peer) wantGone() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.r); errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal("the connection stays")
	}
}

// wantReset reads until the stream is reset.
//
//lint:ignore U1000 for the tests of closing and of slow peers
func (p *peer) wantReset() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.r); !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("err %v, want a reset", err)
	}
}

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// clientFrame builds a masked frame; first is its first byte.
func clientFrame(first byte, payload string) []byte {
	return clientFrameMask(first, payload, testMask)
}

func clientFrameMask(first byte, payload string, mask [4]byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

// clientClose builds a masked close frame.
func clientClose(code uint16, reason string) []byte {
	return clientFrame(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// setReceiveBuffer makes the client's kernel take little.
//
//lint:ignore U1000 for the tests of closing and of slow peers
func setReceiveBuffer(t testing.TB, p *peer, n int) {
	t.Helper()
	nc := p.Conn
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	if err := nc.(*net.TCPConn).SetReadBuffer(n); err != nil {
		t.Fatal(err)
	}
}

func wrapReader(nc net.Conn) *bufio.Reader {
	_ = nc.SetDeadline(time.Now().Add(patience))
	return bufio.NewReader(nc)
}
