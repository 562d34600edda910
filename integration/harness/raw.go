package harness

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The opcodes of RFC 6455 §11.8.
const (
	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xA
)

// HandshakeRequest is a correct upgrade request with further header lines,
// each ending in \r\n.
func HandshakeRequest(host, path, headers string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + headers + "\r\n"
}

// A Raw is a TCP connection whose handshake and frames are made by hand. One
// goroutine uses it.
type Raw struct {
	net.Conn
	reader *bufio.Reader
}

// DialRaw connects, and sends and expects nothing.
func DialRaw(addr string) (*Raw, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	return &Raw{Conn: conn, reader: bufio.NewReader(conn)}, nil
}

// ReadResponse reads the answer to the handshake.
func (r *Raw) ReadResponse() (*http.Response, error) {
	return http.ReadResponse(r.reader, nil)
}

// Upgrade sends the handshake, with the frames that follow in the same write,
// and checks that the server upgrades.
func (r *Raw) Upgrade(frames ...[]byte) error {
	request := []byte(HandshakeRequest(r.RemoteAddr().String(), "/", ""))
	for _, frame := range frames {
		request = append(request, frame...)
	}
	if _, err := r.Write(request); err != nil {
		return err
	}
	response, err := r.ReadResponse()
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("harness: handshake answered with %s", response.Status)
	}
	return nil
}

// A Frame is one frame of a server.
type Frame struct {
	Fin     bool
	Opcode  byte
	Payload []byte
}

// CloseCode returns the code and reason of a close frame; 1005 without one.
func (f Frame) CloseCode() (int, string) {
	if len(f.Payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(f.Payload)), string(f.Payload[2:])
}

// ReadFrame reads one frame, which must not be masked (RFC 6455 §5.1).
func (r *Raw) ReadFrame() (Frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r.reader, head[:]); err != nil {
		return Frame{}, err
	}
	if head[1]&0x80 != 0 {
		return Frame{}, fmt.Errorf("harness: the server masks its frames")
	}
	length := uint64(head[1])
	switch length {
	case 126:
		var two [2]byte
		if _, err := io.ReadFull(r.reader, two[:]); err != nil {
			return Frame{}, err
		}
		length = uint64(binary.BigEndian.Uint16(two[:]))
	case 127:
		var eight [8]byte
		if _, err := io.ReadFull(r.reader, eight[:]); err != nil {
			return Frame{}, err
		}
		length = binary.BigEndian.Uint64(eight[:])
	}
	if length > 64<<20 {
		return Frame{}, fmt.Errorf("harness: frame of %d bytes", length)
	}
	frame := Frame{Fin: head[0]&0x80 != 0, Opcode: head[0] & 0x0f, Payload: make([]byte, length)}
	_, err := io.ReadFull(r.reader, frame.Payload)
	return frame, err
}

// AppendFrame appends a masked, final frame as a client sends it.
func AppendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d} // the example of RFC 6455 §5.7
	dst = append(dst, mask[:]...)
	for i, b := range payload {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}

// TextFrame is a masked text frame.
func TextFrame(text string) []byte { return AppendFrame(nil, OpText, []byte(text)) }

// HeaderLines formats header lines from names and values in turn.
func HeaderLines(namesAndValues ...string) string {
	var text strings.Builder
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		text.WriteString(namesAndValues[i] + ": " + namesAndValues[i+1] + "\r\n")
	}
	return text.String()
}
