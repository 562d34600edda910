package chaos

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
)

// Frames are found however the network cuts them, and only behind a handshake that was taken.
func TestFrames(t *testing.T) {
	t.Parallel()
	var sent []byte
	var want string
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		payload := bytes.Repeat([]byte{'x'}, n)
		switch {
		case n < 126:
			sent = append(sent, finalText, byte(n))
		case n < 1<<16:
			sent = append(sent, finalText, 126, byte(n>>8), byte(n))
		default:
			sent = append(sent, finalText, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		sent = append(sent, payload...)
		want += fmt.Sprintf("81:%d ", n)
	}
	sent = append(sent, finalClose, 2, 0x11, 0x95)
	want += "88:2 "
	for _, piece := range []int{1, 2, 3, 7, 1000, 1 << 20} {
		for _, status := range []string{"101 Switching Protocols", "503 Service Unavailable"} {
			var f frames
			got := ""
			for rest := append([]byte("HTTP/1.1 "+status+"\r\nX: y\r\n\r\n"), sent...); len(rest) > 0; {
				n := min(piece, len(rest))
				f.take(rest[:n], func(first byte, payload []byte) { got += fmt.Sprintf("%x:%d ", first, len(payload)) })
				rest = rest[n:]
			}
			if taken := status[0] == '1'; taken && got != want || !taken && got != "" {
				t.Errorf("%s, %d bytes at a time: %q", status, piece, got)
			}
		}
	}
}

// What a client offers says which attempt it is, and what it has.
func TestOffered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offer            string
		attempt, handled uint64
	}{
		{"umf.ack.v1", 0, 0},
		{"umf.ack.v1, umf.resume.id.secret.7", 7, 0},
		{"umf.ack.v1,umf.auth.a.b.c.d,umf.resume.id.secret.8.42", 8, 42},
	} {
		attempt, handled := offered(http.Header{"Sec-Websocket-Protocol": {test.offer}})
		if attempt != test.attempt || handled != test.handled {
			t.Errorf("%s: %d, %d", test.offer, attempt, handled)
		}
	}
}
