package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// An attack is what one client can do to a node without anybody's leave. It comes from
// a process of its own, at the lowest priority, so that what others feel of it is the
// node's doing and not the machine's. The same process then sends as many bytes of what
// is permitted, which is what the attack is set against.
const (
	attackCommand   = "attack" // the first argument of such a process
	attackTimes     = 20       // a measurement is so many times as long as others: a minute
	attackAddresses = 16
)

// attackKinds are the things that an attack does, each over and over, and over how many
// connections at a time: those that a node holds for a while are many.
var attackKinds = []struct {
	do   func(a *attacker, addr string) error
	many int
}{
	{(*attacker).resumes, 4}, {(*attacker).receivers, 4}, {(*attacker).posts, 4}, {(*attacker).handshakes, 4},
	{(*attacker).halves, 150}, {(*attacker).unread, 50},
}

// attack measures a good client's resume, push and request during both.
func attack(ctx context.Context, b *bench) error {
	b.limited = true
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	if err := b.service(ctx); err != nil {
		return err
	}
	sent, attacked, memory, err := b.under(ctx, node, "attack", 0)
	if err != nil {
		return err
	}
	_, permitted, _, err := b.under(ctx, node, "permitted", sent)
	if err != nil {
		return err
	}
	for i, name := range goodKinds {
		for _, m := range []struct {
			how    string
			delays []time.Duration
		}{{"attack", attacked[i]}, {"permitted", permitted[i]}} {
			slices.Sort(m.delays)
			b.report.note(&row{name: name + ", " + m.how, count: len(m.delays), delays: m.delays})
		}
		one, other := &row{delays: attacked[i]}, &row{delays: permitted[i]}
		b.report.ratio(name+", p99 of attack : permitted", float64(one.percentile(99))/max(1, float64(other.percentile(99))), 2)
	}
	b.report.ratio("most memory for buffers : its bound", memory, 1)
	return nil
}

// goodKinds are what the good client does.
var goodKinds = []string{"resume", "push", "request"}

// under measures the good client while the other process works. bytes is how much that
// one sends; 0: as much as it can, which is returned.
func (b *bench) under(ctx context.Context, node *harness.Node, how string, bytes int64) (sent int64, delays [][]time.Duration, memory float64, err error) {
	length := attackTimes * b.duration
	self, err := os.Executable()
	if err != nil {
		return 0, nil, 0, err
	}
	child := exec.CommandContext(ctx, "nice", "-n", "19", self, attackCommand, node.Addr, how, length.String(), strconv.FormatInt(bytes, 10))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return 0, nil, 0, err
	}
	if err := child.Start(); err != nil {
		return 0, nil, 0, err
	}
	in := bufio.NewReader(out)
	if _, err := in.ReadString('\n'); err != nil { // it has begun
		return 0, nil, 0, err
	}
	delays, memory, err = b.good(ctx, node, length)
	text, rerr := io.ReadAll(in)
	if err := errors.Join(err, rerr, child.Wait()); err != nil {
		return 0, nil, 0, err
	}
	fmt.Fprintf(os.Stderr, "%s: %s", how, text)
	_, err = fmt.Sscanf(string(text), "%d", &sent)
	return sent, delays, memory, err
}

// good is a client that others must not harm: it asks, is pushed to, and comes back.
func (b *bench) good(ctx context.Context, node *harness.Node, length time.Duration) (delays [][]time.Duration, memory float64, err error) {
	p, err := b.publisher()
	if err != nil {
		return nil, 0, err
	}
	delays = make([][]time.Duration, len(goodKinds))
	for begun, n := time.Now(), 0; time.Since(begun) < length; n++ {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		s, err := dial(node.Addr)
		if err != nil {
			return nil, 0, err
		}
		id := s.id
		took := func(kind int, f func() error) {
			if err == nil {
				at := time.Now()
				err = f()
				delays[kind] = append(delays[kind], time.Since(at))
			}
		}
		for i := range 5 {
			took(2, func() error {
				return s.ask(fmt.Sprintf(`{"to":"[get]%s:/","frm":"%s@client:/","mid":"r%d","typ":"t","bdy":{"n":1}}`, echoService, id, i), fmt.Sprintf(`"rmid":"r%d"`, i))
			})
			took(1, func() error {
				if err := p.push(ctx, id, fmt.Sprintf("p%d-%d", n, i)); err != nil {
					return err
				}
				return s.await(fmt.Sprintf(`"mid":"p%d-%d"`, n, i))
			})
		}
		s.reset()
		if err == nil {
			s, err = dial(node.Addr)
		}
		took(0, func() error {
			return s.ask(fmt.Sprintf(`{"to":"hydra-router:/","frm":"client:/","typ":"reconnect","bdy":{"id":"%s"}}`, id), `"resumed":true`)
		})
		if s != nil {
			s.reset()
		}
		if err != nil {
			return nil, 0, err
		}
		used, err := metric(node, "hydrant_socket_buffer_bytes")
		if err != nil {
			return nil, 0, err
		}
		limit, err := metric(node, "hydrant_memory_limit_bytes")
		if err != nil {
			return nil, 0, err
		}
		memory = max(memory, used/max(1, limit/4))
	}
	return delays, memory, nil
}

// ask sends a message and waits for what has the mark.
func (s *socket) ask(text, mark string) error {
	if err := s.send(func(dst []byte) []byte { return append(dst, text...) }); err != nil {
		return err
	}
	return s.await(mark)
}

// await reads until a message has the mark.
func (s *socket) await(mark string) error {
	if err := s.tcp.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	for {
		text, err := s.next()
		if err != nil {
			return fmt.Errorf("while %s is awaited: %w", mark, err)
		}
		if strings.Contains(string(text), mark) {
			return nil
		}
	}
}

// attacker is the other process.
type attacker struct {
	sent atomic.Int64 // bytes
	done atomic.Int64 // times that something was tried
	end  time.Time
}

// attackProcess is such a process, if args say so; it does not return then.
func attackProcess(args []string) {
	if len(args) != 6 || args[1] != attackCommand {
		return
	}
	length, err := time.ParseDuration(args[4])
	bytes, err2 := strconv.ParseInt(args[5], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	a := &attacker{end: time.Now().Add(length)}
	fmt.Println("begun")
	var work sync.WaitGroup
	if args[3] == attackCommand {
		for _, kind := range attackKinds {
			for range kind.many {
				work.Go(func() { a.repeat(func() error { return kind.do(a, args[2]) }) })
			}
		}
	} else {
		for range attackAddresses {
			work.Go(func() { a.repeat(func() error { return a.permitted(args[2], length, bytes/attackAddresses) }) })
		}
	}
	work.Wait()
	fmt.Printf("%d bytes, %d tries\n", a.sent.Load(), a.done.Load())
	os.Exit(0)
}

// repeat does something until the end. That it fails is what the node is to see to.
func (a *attacker) repeat(do func() error) {
	for time.Now().Before(a.end) {
		_ = do()
		a.done.Add(1)
	}
}

// Connections that last come from other addresses than those that come and go, after which
// a node has no sessions for an address.
const (
	briefly byte = 2
	lasting byte = 3
)

// connect opens a connection from one of a block of addresses, whose bytes are counted.
func (a *attacker) connect(addr string, block byte) (*counted, error) {
	from := net.IPv4(127, 0, block, byte(1+rand.IntN(attackAddresses)))
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(a.end); err != nil {
		return nil, err
	}
	return &counted{conn, a}, nil
}

// counted counts the bytes that are written.
type counted struct {
	net.Conn
	a *attacker
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.a.sent.Add(int64(n))
	return n, err
}

// open upgrades a connection, and reads on in the background unless it is not to.
func (a *attacker) open(addr string, block byte, reads bool) (*counted, error) {
	c, err := a.connect(addr, block)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n")
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	if reads {
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	}
	return c, nil
}

// frame is a text frame that is masked with zeros.
func frameOf(length int, payload string) []byte {
	head := []byte{0x81, 0xff, 0, 0, 0, 0, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length), 0, 0, 0, 0}
	if length < 1<<16 {
		head = []byte{0x81, 0xfe, byte(length >> 8), byte(length), 0, 0, 0, 0}
	}
	if length < 126 {
		head = []byte{0x81, 0x80 | byte(length), 0, 0, 0, 0}
	}
	return append(head, payload...)
}

// over opens a connection and sends one text after the other until it is closed.
func (a *attacker) over(addr string, block byte, reads bool, text func() string) error {
	c, err := a.open(addr, block, reads)
	if err != nil {
		return err
	}
	defer c.Close()
	for time.Now().Before(a.end) {
		t := text()
		if _, err := c.Write(frameOf(len(t), t)); err != nil {
			return err
		}
	}
	return nil
}

func (a *attacker) resumes(addr string) error {
	return a.over(addr, briefly, true, func() string {
		return fmt.Sprintf(`{"to":"hydra-router:/","frm":"client:/","typ":"reconnect","bdy":{"id":"%s"}}`, scheme.NewSID())
	})
}

func (a *attacker) receivers(addr string) error {
	return a.over(addr, briefly, true, func() string {
		return fmt.Sprintf(`{"to":"%s@client:/","frm":"client:/","mid":"m","bdy":1}`, scheme.NewSID())
	})
}

func (a *attacker) posts(addr string) error {
	c, err := a.connect(addr, briefly)
	if err != nil {
		return err
	}
	defer c.Close()
	body := fmt.Sprintf(`{"to":"%s@client:/","frm":"client:/","mid":"m","bdy":1}`, scheme.NewSID())
	if _, err := fmt.Fprintf(c, "POST /v1/router/send HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

func (a *attacker) handshakes(addr string) error {
	c, err := a.open(addr, briefly, false)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 256))
	return err
}

// halves begins messages of a MiB that never end.
func (a *attacker) halves(addr string) error {
	c, err := a.open(addr, lasting, true)
	if err != nil {
		return err
	}
	if _, err := c.Write(frameOf(1<<20, strings.Repeat("x", 1<<20-1000))); err != nil {
		return errors.Join(err, c.Close())
	}
	for time.Now().Before(a.end) {
		if _, err := c.Write([]byte("x")); err != nil {
			return errors.Join(err, c.Close())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return c.Close()
}

// unread asks for answers and reads none.
func (a *attacker) unread(addr string) error {
	pad := strings.Repeat("x", 8000)
	return a.over(addr, lasting, false, func() string {
		return `{"to":"hydra-router:/","frm":"client:/","mid":"` + pad[:200] + `","typ":"ping","bdy":"` + pad + `"}`
	})
}

// permitted sends its bytes evenly, as messages that are allowed.
func (a *attacker) permitted(addr string, length time.Duration, bytes int64) error {
	const size = 8 << 10
	text := `{"to":"hydra-router:/","frm":"client:/","mid":"m","typ":"ping","bdy":"` + strings.Repeat("x", size) + `"}`
	c, err := a.open(addr, lasting, true)
	if err != nil {
		return err
	}
	defer c.Close()
	each := time.Duration(float64(length) / (float64(bytes)/size + 1))
	for next := time.Now(); next.Before(a.end); next = next.Add(each) {
		time.Sleep(time.Until(next))
		if _, err := c.Write(frameOf(len(text), text)); err != nil {
			return err
		}
	}
	return nil
}
