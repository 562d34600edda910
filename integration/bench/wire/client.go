package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// job is what a load generator does; it comes as JSON on its standard input.
type job struct {
	Addr  string
	Raw   bool // TCP without WebSocket
	Conns int
	Size  int           // payload
	Time  time.Duration // of echoing
	// On a line of its own, the generator says "ready" when it has connected,
	// and waits for a line. Then it works, and says what it did as JSON.
	Work string // echo, push, idle, abuse
	// Pause is between a connection's messages; 0: as fast as they come back.
	Pause time.Duration
	Count int // push: messages a connection
	Burst int // push: of these, at once
	Rate  int // push: bursts a second, over all
}

type result struct {
	Messages int64
	P50      time.Duration
	P99      time.Duration
}

// client runs a load generator: `wire client`.
func client() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	conns, err := dialAll(&j)
	if err != nil {
		return err
	}
	if j.Work == "push" {
		if err := awaitOpen(conns); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := in.ReadByte(); err != nil {
		return err
	}
	var r result
	switch j.Work {
	case "echo":
		r, err = echoAll(&j, conns)
	case "push":
		r, err = pushAll(&j, conns)
	case "abuse":
		err = abuse(&j, in)
	case "idle": // until standard input ends
		_, err = io.Copy(io.Discard, in)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func dialAll(j *job) ([]net.Conn, error) {
	conns := make([]net.Conn, j.Conns)
	errs := make([]error, 128)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(conns); i += len(errs) {
				if conns[i], errs[w] = dial(j, i); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return conns, first(errs)
}

// first is the first error there is: a thousand connections fail alike.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

const request = "GET /bench HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: bench\r\n\r\n"

// dial opens connection i. Each process and each few thousand connections use
// an address of their own, so that ports do not run out.
func dial(j *job, i int) (net.Conn, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+os.Getpid()%200), byte(1+os.Getpid()/200%200), byte(1+i%16))}}
	c, err := from.Dial("tcp", j.Addr)
	if err != nil || j.Raw {
		return c, err
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	var buf [1024]byte
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		k, err := c.Read(buf[n:])
		if err != nil {
			return nil, err
		}
		n += k
	}
	if !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 101") {
		return nil, fmt.Errorf("answer %q", buf[:n])
	}
	return c, nil
}

// frame is a masked text frame of the payload.
func frame(payload []byte) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := header(0x80, len(payload))
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return b
}

func header(masked byte, n int) []byte {
	switch {
	case n < 126:
		return []byte{0x81, masked | byte(n)}
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16([]byte{0x81, masked | 126}, uint16(n))
	}
	return binary.BigEndian.AppendUint64([]byte{0x81, masked | 127}, uint64(n))
}

var errEcho = errors.New("the echo is not what was sent")

// echo sends a frame and reads what comes back, into buf, which is as long as
// what is wanted.
func echo(c net.Conn, out, want, buf []byte) error {
	if _, err := c.Write(out); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if !bytes.Equal(buf, want) {
		return fmt.Errorf("%w: %.20q…", errEcho, buf)
	}
	return nil
}

// echoAll sends and awaits one message after the other on each connection.
func echoAll(j *job, conns []net.Conn) (result, error) {
	out := frame(bytes.Repeat([]byte{'x'}, j.Size))
	want := append(header(0, j.Size), bytes.Repeat([]byte{'x'}, j.Size)...)
	if j.Raw {
		want = out
	}
	end := time.Now().Add(j.Time)
	var total atomic.Int64
	var mu sync.Mutex
	var all histogram
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			var h histogram
			buf := make([]byte, len(want))
			n := int64(0)
			for now := time.Now(); now.Before(end); n++ {
				if errs[i] = echo(c, out, want, buf); errs[i] != nil {
					return
				}
				then := now
				now = time.Now()
				h.add(now.Sub(then))
				if j.Pause > 0 {
					time.Sleep(j.Pause)
					now = time.Now()
				}
			}
			total.Add(n)
			mu.Lock()
			all.merge(&h)
			mu.Unlock()
		})
	}
	wg.Wait()
	return result{Messages: total.Load(), P50: all.quantile(0.5), P99: all.quantile(0.99)}, first(errs)
}

// pushAll has the server push, and reads what it sends.
func pushAll(j *job, conns []net.Conn) (result, error) {
	each := int64(j.Count) * int64(len(header(0, j.Size))+j.Size)
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() { _, errs[i] = io.CopyN(io.Discard, c, each) })
	}
	if _, err := conns[0].Write(frame(fmt.Appendf(nil, "push %d %d %d %d", j.Count, j.Burst, j.Size, j.Rate))); err != nil {
		return result{}, err
	}
	wg.Wait()
	return result{Messages: int64(len(conns) * j.Count)}, first(errs)
}

// awaitOpen returns when the server pushes to all connections. Some take note
// of one after they have answered its handshake, but before they echo.
func awaitOpen(conns []net.Conn) error {
	want := append(header(0, 1), 'x')
	buf := make([]byte, len(want))
	for _, c := range conns {
		if err := echo(c, frame([]byte{'x'}), want, buf); err != nil {
			return err
		}
	}
	return nil
}

// histogram counts durations by their logarithm, 16 steps to a doubling.
type histogram [64 * 16]uint32

func bucketOf(d time.Duration) int {
	if d < 1 {
		d = 1
	}
	e := 63
	for d>>e == 0 {
		e--
	}
	frac := 0
	if e >= 4 {
		frac = int(d>>(e-4)) & 15
	}
	return e*16 + frac
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)]++ }

func (h *histogram) merge(o *histogram) {
	for i, n := range o {
		h[i] += n
	}
}

func (h *histogram) quantile(q float64) time.Duration {
	var total, seen uint64
	for _, n := range h {
		total += uint64(n)
	}
	for i, n := range h {
		if seen += uint64(n); seen > 0 && float64(seen) >= q*float64(total) {
			e := i / 16
			return time.Duration(1)<<e + time.Duration(i%16)<<max(e-4, 0)
		}
	}
	return 0
}
