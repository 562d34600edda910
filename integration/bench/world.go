package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/umf"
)

// world is one NATS server, two nodes and the echo service.
type world struct {
	nats *harness.NATS
	nc   *nats.Conn
	a, b *harness.Node
	echo *harness.Process
}

func newWorld(ctx context.Context) (*world, error) {
	w := &world{}
	var err error
	if w.nats, err = harness.StartNATS(ctx, harness.NATSOptions{}); err != nil {
		return nil, err
	}
	if w.nc, err = w.nats.Connect("bench"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	for name, node := range map[string]**harness.Node{"a": &w.a, "b": &w.b} {
		if *node, err = harness.StartNode(ctx, harness.NodeOptions{Name: name, NATS: w.nats.URL()}); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	if w.echo, err = harness.StartEcho(w.nats.URL(), "echo"); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, harness.Until(ctx, func() error {
		_, err := w.nc.Request("$SRV.PING.echo", nil, time.Second)
		return err
	})
}

func (w *world) close() error {
	for _, node := range []*harness.Node{w.a, w.b} {
		if node != nil {
			node.Kill()
		}
	}
	if w.echo != nil {
		w.echo.Kill()
	}
	if w.nc != nil {
		w.nc.Close()
	}
	return w.nats.Stop()
}

// tick is the unit of CPU times in /proc (sysconf(_SC_CLK_TCK) on Linux).
const tick = 10 * time.Millisecond

// cpu is the CPU time that a process has used, in user space and the kernel.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from field 3 of proc(5) on
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// meter measures the CPU of processes between two calls.
type meter struct {
	pids  []int
	start []time.Duration
}

func newMeter(pids ...int) (*meter, error) {
	m := &meter{pids: pids}
	for _, pid := range pids {
		used, err := cpu(pid)
		if err != nil {
			return nil, err
		}
		m.start = append(m.start, used)
	}
	return m, nil
}

// used returns what each process has used since newMeter.
func (m *meter) used() ([]time.Duration, error) {
	var list []time.Duration
	for i, pid := range m.pids {
		now, err := cpu(pid)
		if err != nil {
			return nil, err
		}
		list = append(list, now-m.start[i])
	}
	return list, nil
}

// peer is a client that costs little itself.
type peer struct {
	conn *websocket.Conn
	id   string
	env  umf.Envelope
}

// source spreads many connections over loopback addresses, so that ports do
// not run out.
var source atomic.Uint32

func dial(ctx context.Context, url string) (*peer, error) {
	n := source.Add(1)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+n/20000), 1)}
	dialer := &net.Dialer{LocalAddr: local}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
	}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(16 << 20)
	p := &peer{conn: conn}
	p.id, err = p.welcome(ctx)
	return p, err
}

// welcome reads the connection message and returns the session id in it.
func (p *peer) welcome(ctx context.Context) (string, error) {
	if err := p.read(ctx); err != nil {
		return "", err
	}
	var body umf.Envelope // any JSON object scans
	raw := p.env.Raw(umf.Body)
	if err := umf.Scan(raw, &body); err != nil {
		return "", err
	}
	id, found := strings.CutPrefix(string(raw), `{"id":"`)
	if !found || len(id) < 26 {
		return "", fmt.Errorf("not a welcome: %s", raw)
	}
	return id[:26], nil
}

// read takes the next message; p.env is valid until the next read.
func (p *peer) read(ctx context.Context) error {
	_, text, err := p.conn.Read(ctx)
	if err != nil {
		return err
	}
	return umf.Scan(text, &p.env)
}

func (p *peer) send(ctx context.Context, text string) error {
	return p.conn.Write(ctx, websocket.MessageText, []byte(text))
}

// message is a typical short message.
func message(to, from, extra string, n int) string {
	return fmt.Sprintf(`{"to":"%s","frm":"%s@client:/","mid":"m%d","ts":"2026-01-12T20:16:29.157Z","typ":"bench"%s,"ver":"UMF/1.4.6","bdy":{"n":%d,"text":"a message of ordinary length, as chats have them"}}`, to, from, n, extra, n+1)
}

// dialAll connects n peers, some at a time.
func dialAll(ctx context.Context, url string, n int) ([]*peer, error) {
	peers := make([]*peer, n)
	errs := make(chan error, n)
	slots := make(chan struct{}, 64)
	var group sync.WaitGroup
	for i := range peers {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			p, err := dial(ctx, url)
			peers[i] = p
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return peers, err
		}
	}
	return peers, nil
}

func hangUp(peers []*peer) {
	for _, p := range peers {
		if p != nil {
			_ = p.conn.CloseNow() // gone is gone
		}
	}
}
