package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestEveryMessageOfAFrameCounts: a frame that holds several messages, a line each, as
// Centrifugo sends them, is as many; and a line that is none of them is an error.
func TestEveryMessageOfAFrameCounts(t *testing.T) {
	for text, want := range map[string]uint64{
		`{"mid":"x1"}`: 1,
		`{"push":{"mid":"x1"}}` + "\n" + `{"push":{"mid":"x2"}}` + "\n" + `{"push":{"mid":"x3"}}`: 3,
		`{"mid":"x1"}` + "\n" + `{"mid":"x2"}` + "\n":                                             2,
		`{"mid":"x1"}` + "\n{}": 0, // the stream fails
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		near, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		frame := append([]byte{0x80 | opText, byte(len(text))}, text...)
		if _, err := far.Write(frame); err != nil {
			t.Fatal(err)
		}
		if err := far.Close(); err != nil { // ends the stream, after what was written
			t.Fatal(err)
		}
		tcp := near.(*net.TCPConn)
		s := &stream{to: &socket{tcp: tcp, in: bufio.NewReaderSize(tcp, readBuffer)}, mark: inMid("x")}
		if err := tcp.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
			t.Fatal(err)
		}
		err = (&traffic{}).receive(s)
		if want == 0 != errors.Is(err, errAnswer) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: %v", text, err)
		}
		if want > 0 && s.ledger.received != want {
			t.Errorf("%q: %d messages, want %d", text, s.ledger.received, want)
		}
		if err := errors.Join(near.Close(), listener.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
