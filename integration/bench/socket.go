package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// WebSocket opcodes that a client meets (RFC 6455 §5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// A socket is one client: a WebSocket connection and the session on it.
type socket struct {
	// Immutable after dial.
	tcp *net.TCPConn
	in  *bufio.Reader

	// Owned by the goroutine that reads.
	id      string
	token   string
	message []byte // scratch for messages that do not fit the reader's buffer

	// Guarded by mu.
	mu  sync.Mutex
	out []byte // scratch for one frame
}

// Bounds of a dial and of a client's read buffer. The buffer is small, since
// there may be 15,000 of them.
const (
	dialTimeout = 30 * time.Second
	readBuffer  = 1024
	longest     = 1 << 20
)

// sources spreads connections over addresses of loopback.
var sources atomic.Uint32

// dial connects and reads the welcome.
func dial(addr string) (*socket, error) {
	s, _, err := enter(addr)
	return s, err
}

// dialSecond is dial for a client that knows the second edition of the protocol.
func dialSecond(addr string) (*socket, error) {
	s, _, err := enter(addr, "umf.v1")
	return s, err
}

// enter connects, with subprotocols to offer, and reads the welcome.
func enter(addr string, offers ...string) (s *socket, resumed bool, err error) {
	if s, err = upgrade(addr, "/", offers...); err != nil {
		return nil, false, err
	}
	if resumed, err = s.welcome(); err != nil {
		s.reset()
		return nil, false, err
	}
	return s, resumed, nil
}

// upgrade connects as far as the WebSocket is open.
func upgrade(addr, path string, offers ...string) (*socket, error) {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+sources.Add(1)%64))}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &socket{tcp: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, readBuffer)}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
	if len(offers) > 0 {
		request += "Sec-WebSocket-Protocol: " + strings.Join(offers, ", ") + "\r\n"
	}
	request += "\r\n"
	if err = conn.SetDeadline(time.Now().Add(dialTimeout)); err == nil {
		_, err = io.WriteString(conn, request)
	}
	for first := true; err == nil; first = false {
		var line []byte
		line, err = s.in.ReadSlice('\n')
		switch {
		case err != nil:
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")):
			err = fmt.Errorf("not upgraded: %q", line)
		case len(line) == 2:
			return s, conn.SetDeadline(time.Time{})
		}
	}
	s.reset()
	return nil, err
}

var errWelcome = errors.New("the message is no welcome")

// welcome reads a connection message and reports whether it says that an
// earlier session was resumed.
func (s *socket) welcome() (resumed bool, err error) {
	text, err := s.next()
	if err != nil {
		return false, err
	}
	_, rest, found := strings.Cut(string(text), `"bdy":{"id":"`)
	id, rest, _ := strings.Cut(rest, `"`)
	if !found || !strings.Contains(string(text), `"typ":"connection"`) {
		return false, fmt.Errorf("%w: %.300q", errWelcome, text)
	}
	s.id = id
	if _, token, ok := strings.Cut(rest, `"token":"`); ok {
		s.token, _, _ = strings.Cut(token, `"`)
	}
	return strings.Contains(rest, `"resumed":true`), nil
}

// next returns the next text message, valid until the following call. It
// answers pings on the way.
func (s *socket) next() ([]byte, error) {
	for {
		opcode, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch opcode {
		case opText:
			return payload, nil
		case opPing:
			if err := s.write(opPong, payload); err != nil {
				return nil, err
			}
		case opPong:
		case opClose:
			return nil, fmt.Errorf("closed by the node: %q", payload)
		default:
			return nil, fmt.Errorf("frame of opcode %d", opcode)
		}
	}
}

// frame reads one frame, which a server neither masks nor, here, fragments.
func (s *socket) frame() (opcode byte, payload []byte, err error) {
	head, err := s.in.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	opcode, size, length := head[0]&15, 2, int(head[1])
	if head[0]&0xf0 != 0x80 {
		return 0, nil, fmt.Errorf("frame starts with %#x", head[0])
	}
	switch length {
	case 126:
		size = 4
		if head, err = s.in.Peek(size); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint16(head[2:]))
	case 127:
		size = 10
		if head, err = s.in.Peek(size); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint64(head[2:]))
	}
	if length < 0 || length > longest {
		return 0, nil, fmt.Errorf("frame of %d bytes", length)
	}
	if size+length <= s.in.Size() {
		// The bytes stay in the buffer until the next read.
		if head, err = s.in.Peek(size + length); err != nil {
			return 0, nil, err
		}
		_, err = s.in.Discard(size + length)
		return opcode, head[size:], err
	}
	if _, err = s.in.Discard(size); err != nil {
		return 0, nil, err
	}
	s.message = append(s.message[:0], make([]byte, length)...)
	_, err = io.ReadFull(s.in, s.message)
	return opcode, s.message, err
}

// mask is the key of every frame: the node has to unmask, whatever the key.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// write sends one frame.
func (s *socket) write(opcode byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush(appendFrame(s.out[:0], opcode, payload))
}

// send builds one text frame with build, which appends the text, and sends it.
func (s *socket) send(build func(dst []byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	const room = 14 // for the longest header
	frame := append(s.out[:0], make([]byte, room)...)
	frame = build(frame)
	text := frame[room:]
	header := appendHeader(make([]byte, 0, room), opText, len(text))
	start := room - len(header)
	copy(frame[start:], header)
	maskBytes(text)
	s.out = frame
	_, err := s.tcp.Write(frame[start:])
	return err
}

// flush writes a frame and keeps its memory for the next. Caller holds mu.
func (s *socket) flush(frame []byte) error {
	s.out = frame
	_, err := s.tcp.Write(frame)
	return err
}

func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = appendHeader(dst, opcode, len(payload))
	start := len(dst)
	dst = append(dst, payload...)
	maskBytes(dst[start:])
	return dst
}

func appendHeader(dst []byte, opcode byte, length int) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case length < 126:
		dst = append(dst, 0x80|byte(length))
	case length < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(length))
	}
	return append(dst, mask[:]...)
}

func maskBytes(p []byte) {
	for i := range p {
		p[i] ^= mask[i&3]
	}
}

// hangUp closes the connection as a client does that goes away.
func (s *socket) hangUp() { _ = s.tcp.Close() } // closed is closed

// reset drops the connection and leaves no port waiting (RFC 9293 §3.6.1).
func (s *socket) reset() {
	_ = s.tcp.SetLinger(0) // fails only if it is closed already
	s.hangUp()
}
