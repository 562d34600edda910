package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// Requests by path: what GET /path costs a node, beside the same asked by a WebSocket, and
// beside a reverse proxy of Go's own library in front of an HTTP server, which has neither
// NATS nor routes to look for.
const (
	webCommand   = "web"   // the first argument of a process that is the service
	proxyCommand = "proxy" // and of one that is the reverse proxy
	webPath      = "/v1/web/7?q=1"
)

// webProcess runs such a process if args say so; it does not return then.
func webProcess(args []string) {
	if len(args) < 3 || args[1] != webCommand && args[1] != proxyCommand {
		return
	}
	err := fmt.Errorf("what is %q", args)
	switch {
	case args[1] == webCommand:
		err = runWeb(args[2])
	case len(args) == 4:
		err = runProxy(args[2], args[3])
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// webAnswer is the body of both.
var webAnswer = map[string]string{"id": "7", "text": pad}

func runWeb(natsURL string) error {
	nc, err := bus.Connect(bus.Config{URL: natsURL}, "web")
	if err != nil {
		return err
	}
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: "web"})
	if err != nil {
		return err
	}
	err = errors.Join(
		s.HandleMethod(http.MethodGet, "/v1/web/{id}", func(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, webAnswer) }),
		s.HandleMethod(http.MethodPut, "/v1/web/body", func(ctx context.Context, r *bus.Request) error {
			kind, body, err := r.Content()
			if err != nil {
				return err
			}
			return r.Respond(ctx, bus.Response{ContentType: kind, Body: body})
		}))
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

func runProxy(addr, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256 // or most connections would serve one request
	proxy.Transport = transport
	return http.ListenAndServe(addr, proxy)
}

// startWeb runs the service, as how says, and returns when the node knows it.
func (b *bench) startWeb(ctx context.Context, node *harness.Node, how func(command ...string) []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := &harness.Log{}
	command := how(self, webCommand, b.nats.URL())
	web, err := harness.StartProcess(webCommand, command[0], command[1:], nil, log, log)
	if err != nil {
		return err
	}
	b.web = web
	b.ends = append(b.ends, func() error { web.Kill(); return nil })
	if b.echo == nil {
		b.echo = web
	}
	return harness.Until(ctx, func() error {
		_, err := harness.Get("http://" + node.Addr + webPath)
		return err
	})
}

// path measures one request at a time of each client, at full speed.
func path(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	if err := b.startWeb(ctx, node, func(command ...string) []string { return command }); err != nil {
		return err
	}
	byHTTP, err := b.flood(ctx, "GET /path by HTTP", node, func() (asking, error) { return dialWeb(node.Addr) })
	if err != nil {
		return err
	}
	bySocket, err := b.flood(ctx, "[GET]/path by WebSocket", node, func() (asking, error) {
		s, err := dial(node.Addr)
		return &socketAsking{socket: s}, err
	})
	if err != nil {
		return err
	}
	byProxy, err := b.proxied(ctx)
	if err != nil {
		return err
	}
	b.report.ratio("node's processor time, GET /path : [GET]/path by WebSocket", byHTTP.node()/bySocket.node(), 4)
	b.report.ratio("processor time, GET /path of a node : of a Go reverse proxy", byHTTP.node()/byProxy.node(), 1)
	return nil
}

// proxied measures the reverse proxy.
func (b *bench) proxied(ctx context.Context) (*row, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`{"id":"7","text":"%s"}`, pad)
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text) // a lost answer fails its client
	})}
	go func() { _ = backend.Serve(listener) }() // ends with Close
	b.ends = append(b.ends, backend.Close)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	proxy, err := b.startGateway(ctx, proxyCommand, self, func(addr string) (args, env []string) {
		return []string{proxyCommand, addr, "http://" + listener.Addr().String()}, nil
	})
	if err != nil {
		return nil, err
	}
	return b.flood(ctx, "floor: Go reverse proxy", proxy, func() (asking, error) { return dialWeb(proxy.Addr) })
}

// asking is a client that asks one thing after the other.
type asking interface {
	once() error
	reset()
}

// flood has b.clients ask for b.duration, after a while in which nothing is counted.
func (b *bench) flood(ctx context.Context, name string, node *harness.Node, open func() (asking, error)) (*row, error) {
	clients := make([]asking, 0, b.clients)
	defer func() {
		for _, c := range clients {
			c.reset()
		}
	}()
	for range b.clients {
		c, err := open()
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	var done atomic.Int64
	var recording, stopped atomic.Bool
	failed := make(chan error, len(clients))
	delays := make([][]time.Duration, len(clients))
	var work sync.WaitGroup
	for i, c := range clients {
		work.Go(func() {
			for !stopped.Load() {
				begun := time.Now()
				if err := c.once(); err != nil {
					failed <- err
					return
				}
				if done.Add(1); recording.Load() {
					delays[i] = append(delays[i], time.Since(begun))
				}
			}
		})
	}
	r := &row{name: name}
	err := pause(ctx, min(b.duration/4, time.Second), failed)
	if err == nil {
		err = b.profiled(node, name, int(b.duration/time.Second), func() error {
			m, err := b.meter(node)
			if err != nil {
				return err
			}
			before := done.Load()
			recording.Store(true)
			if err := pause(ctx, b.duration, failed); err != nil {
				return err
			}
			r.usage, err = m.stop(1)
			r.count = int(done.Load() - before)
			return err
		})
	}
	stopped.Store(true)
	work.Wait()
	for _, list := range delays {
		r.delays = append(r.delays, list...)
	}
	slices.Sort(r.delays)
	return r, b.note(r, err)
}

// webClient is a connection of HTTP that is kept.
type webClient struct {
	*socket
	request []byte
}

func dialWeb(addr string) (*webClient, error) {
	conn, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil, err
	}
	return &webClient{
		socket:  &socket{tcp: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 4<<10)},
		request: []byte("GET " + webPath + " HTTP/1.1\r\nHost: " + addr + "\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n"),
	}, nil
}

var errWeb = errors.New("not the answer that was expected")

func (c *webClient) once() error {
	if _, err := c.tcp.Write(c.request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("%w: %q", errWeb, line)
		}
		name, value, _ := strings.Cut(string(line), ":")
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	if length < len(pad) {
		return fmt.Errorf("%w: %d bytes", errWeb, length)
	}
	_, err := c.in.Discard(length)
	return err
}

// socketAsking asks the same by a WebSocket.
type socketAsking struct {
	*socket
	asked int
}

func (c *socketAsking) once() error {
	c.asked++
	mid := "r" + strconv.Itoa(c.asked)
	return c.ask(`{"to":"web:[GET]`+webPath+`","frm":"`+c.id+`@client:/","mid":"`+mid+`","typ":"t","hdr":{"accept":"application/json"},"bdy":{}}`, `"rmid":"`+mid+`"`)
}
